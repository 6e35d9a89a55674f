/** The conformance suite in both versions of npm, direct and through the gateway. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { moduleFile } from "./installed.ts";

export interface Suite {
  readonly name: string;
  readonly package: string;
  readonly args: readonly string[];
}

export const SUITES: readonly Suite[] = [
  // `latest` of npm; it knows no sets of requirements.
  { name: "conformance latest", package: "conformance-latest", args: [] },
  ...["2025-11-25", "2026-07-28"].map((version) => ({
    name: `conformance alpha, ${version}`,
    package: "conformance-alpha",
    args: ["--requirements", version],
  })),
];

/** Each scenario with whether it passed. */
export async function scenarios(suite: Suite, url: string): Promise<Record<string, boolean>> {
  const cwd = await mkdtemp(join(tmpdir(), "holdfast-matrix-"));
  const program = moduleFile(suite.package, "dist", "index.js");
  const args = [program, "server", "--url", url, ...suite.args];
  const said = await new Promise<string>((resolve) => {
    execFile(process.execPath, args, { cwd, maxBuffer: 1 << 26 }, (_failure, out, err) =>
      resolve(out + err),
    );
  });
  await rm(cwd, { recursive: true, force: true });
  const lines = [...said.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)];
  return Object.fromEntries(lines.map(([, mark, name = ""]) => [name, mark === "✓"]));
}
