/**
 * `npm run audit`: fails where a dependency that ships has a known vulnerability of
 * high severity or worse. If the registry offers no audit, or does not answer
 * in time, this says so and succeeds: the tests must not depend on it.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";

const TIMEOUT_MS = 20_000;

interface Vulnerability {
  readonly severity: string;
  /** The folders in which it is installed. An alias installs a package under another name. */
  readonly nodes: readonly string[];
}

interface Report {
  readonly vulnerabilities?: Readonly<Record<string, Vulnerability>>;
}

/** The packages that the Worker imports. Its bundle holds them and their dependencies; installing the library does not install them. */
const BUNDLED = ["hono", "jose", "zod", "@modelcontextprotocol/server"];

/** Each place where a package is installed, as package-lock.json describes it. */
type Packages = Readonly<
  Record<
    string,
    { readonly dev?: boolean; readonly dependencies?: Readonly<Record<string, string>> }
  >
>;

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
  const lock = JSON.parse(await readFile("package-lock.json", "utf8")) as { packages: Packages };
  const { packages } = lock;
  const bundled = withDependencies(BUNDLED, packages);
  const ships = (node: string) => packages[node]?.dev !== true || bundled.has(node);
  const serious = Object.entries(found)
    .filter(([, { severity, nodes }]) => nodes.some(ships) && /^(high|critical)$/.test(severity))
    .map(([name]) => name);
  console.log(
    `audit: ${serious.length} packages that ship have a known hole: ${serious.join(", ")}`,
  );
  if (serious.length > 0) process.exitCode = 1;
}

/** Where these packages are installed, and all that they depend on. */
function withDependencies(names: readonly string[], packages: Packages): ReadonlySet<string> {
  const places = new Set<string>();
  const visit = (name: string, from: string): void => {
    const place = placeOf(name, from, packages);
    if (place === undefined || places.has(place)) return;
    places.add(place);
    for (const needed of Object.keys(packages[place]?.dependencies ?? {})) visit(needed, place);
  };
  for (const name of names) visit(name, "");
  return places;
}

/** Where an import from a package finds another: in its own node_modules, or in the nearest above. */
function placeOf(name: string, from: string, packages: Packages): string | undefined {
  for (let above = from; ; above = above.slice(0, above.lastIndexOf("node_modules/"))) {
    const base = above.replace(/\/$/, "");
    const place = `${base === "" ? "" : `${base}/`}node_modules/${name}`;
    if (packages[place]) return place;
    if (base === "") return undefined;
  }
}

function read(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}
