/** The conformance suite in both versions of npm, direct and through the gateway. */
import { execFile } from "node:child_process";
import { makeFolder, remove } from "./folder.ts";
import { moduleFile } from "./installed.ts";

export interface Suite {
  readonly name: string;
  readonly package: string;
  readonly args: readonly string[];
}

export const SUITES: readonly Suite[] = [
  // `latest` of npm; it knows no sets of requirements.
  { name: "0.1.16", package: "conformance-latest", args: ["--suite", "all"] },
  ...["2025-11-25", "2026-07-28"].map((version) => ({
    name: `0.2.0-alpha.12, ${version}`,
    package: "conformance-alpha",
    args: ["--requirements", version],
  })),
];

/** Each scenario with whether it passed. */
type Scenarios = Readonly<Record<string, boolean>>;

export interface Conformance {
  readonly suite: string;
  readonly server: string;
  readonly direct: Scenarios;
  readonly through: Scenarios;
  /** Scenarios that pass direct and fail through the gateway. */
  readonly differences: readonly string[];
}

/** Milliseconds; a suite that takes longer counts with the scenarios that it has told of. */
const PATIENCE_MS = 120_000;

async function scenarios(suite: Suite, url: string): Promise<Scenarios> {
  const cwd = makeFolder();
  const program = moduleFile(suite.package, "dist/index.js");
  // The suite wants a name of this machine.
  const local = url.replace("127.0.0.1", "localhost");
  const args = [program, "server", "--url", local, ...suite.args];
  const options = { cwd, maxBuffer: 1 << 26, timeout: PATIENCE_MS };
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, options, (_failure, out, err) => resolve(out + err));
  });
  remove(cwd);
  const lines = [...said.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)];
  return Object.fromEntries(lines.map(([, mark, name = ""]) => [name, mark === "✓"]));
}

export async function conform(
  suite: Suite,
  server: string,
  url: string,
  gateway: string,
): Promise<Conformance> {
  const direct = await scenarios(suite, url);
  const through = await scenarios(suite, gateway);
  const lost = Object.keys(direct).filter((name) => direct[name] && !through[name]);
  const nothing = Object.values(direct).some(Boolean) ? [] : ["nothing passes direct"];
  return { suite: suite.name, server, direct, through, differences: [...nothing, ...lost] };
}
