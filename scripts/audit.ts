/**
 * `npm run audit`: fails where a dependency that ships has a known vulnerability of
 * high severity or worse. A registry that offers no audit, or does not answer
 * in time, is said and passes: the tests must not hang on it.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

const TIMEOUT_MS = 20_000;

interface Vulnerability {
  readonly severity: string;
  /** Where it is installed. An alias installs a package under another name than its own. */
  readonly nodes: readonly string[];
}

interface Report {
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>;
}

/** Packages that the Worker's bundle holds, and that nobody who installs the library gets. */
const BUNDLED = new Set(["hono", "jose", "zod"]);

interface Lock {
  readonly packages: Readonly<Record<string, { readonly dev?: boolean }>>;
}

const output = await new Promise<string>((resolve) => {
  execFile(
    "npm",
    ["audit", "--json", "--fetch-retries=0", `--fetch-timeout=${TIMEOUT_MS / 2}`],
    { timeout: TIMEOUT_MS },
    // A finding makes npm exit with 1 as well; what it printed tells them apart.
    (_failure, stdout) => resolve(stdout),
  );
});

const found = read(output)?.vulnerabilities;
if (!found) console.log("audit: the registry gave no answer, nothing was checked");
else {
  const { packages } = JSON.parse(await readFile("package-lock.json", "utf8")) as Lock;
  const ships = (name: string, nodes: readonly string[]) =>
    BUNDLED.has(name) || nodes.some((node) => packages[node]?.dev !== true);
  const serious = Object.entries(found)
    .filter(
      ([name, { severity, nodes }]) => ships(name, nodes) && /^(high|critical)$/.test(severity),
    )
    .map(([name]) => name);
  console.log(
    `audit: ${serious.length} packages that ship have a known hole: ${serious.join(", ")}`,
  );
  if (serious.length > 0) process.exitCode = 1;
}

function read(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}
