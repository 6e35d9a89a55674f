/**
 * `npm run audit`: fails where a dependency that ships has a known vulnerability of
 * high severity or worse. A registry that offers no audit, or does not answer
 * in time, is said and passes: the tests must not hang on it.
 */
import { execFile } from "node:child_process";

const TIMEOUT_MS = 20_000;

interface Report {
  readonly metadata?: { readonly vulnerabilities?: Readonly<Record<string, number>> };
}

const output = await new Promise<string>((resolve) => {
  execFile(
    "npm",
    ["audit", "--omit=dev", "--json", "--fetch-retries=0", `--fetch-timeout=${TIMEOUT_MS / 2}`],
    { timeout: TIMEOUT_MS },
    // A finding makes npm exit with 1 as well; what it printed tells them apart.
    (_failure, stdout) => resolve(stdout),
  );
});

const found = read(output)?.metadata?.vulnerabilities;
if (!found) console.log("audit: the registry gave no answer, nothing was checked");
else {
  const serious = (found["high"] ?? 0) + (found["critical"] ?? 0);
  console.log(`audit: ${found["total"] ?? 0} known vulnerabilities, ${serious} high or critical`);
  if (serious > 0) process.exitCode = 1;
}

function read(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report;
  } catch {
    return undefined;
  }
}
