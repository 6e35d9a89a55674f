/** Runs the official conformance suite. */
import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../../../scripts/bundle.ts";
import { atEnd } from "../scope.ts";

export interface Outcome {
  readonly exitCode: number;
  /** Scenario to whether it passed. */
  readonly scenarios: Readonly<Record<string, boolean>>;
}

export async function conformance(url: string, version: string): Promise<Outcome> {
  const { code, stdout } = await run(["server", "--url", url, "--requirements", version]);
  const lines = [...stdout.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)];
  const scenarios = Object.fromEntries(lines.map(([, mark, name]) => [name, mark === "✓"]));
  return { exitCode: code, scenarios };
}

/** The checks of one scenario that failed, each with its line of the log; and how many passed. */
export async function scenario(
  url: string,
  name: string,
): Promise<{ readonly passed: number; readonly failed: readonly string[] }> {
  // The scenarios of extensions belong to no revision's requirements.
  const { stdout } = await run(["server", "--url", url, "--scenario", name, "--force"]);
  const [, passed] = /^Passed: (\d+)\/\d+/m.exec(stdout) ?? [];
  if (passed === undefined) throw new Error(`${name} did not run: ${stdout}`);
  const failed = stdout.split("\n").filter((line) => /\bFAILURE\b/.test(line));
  return { passed: Number(passed), failed };
}

async function run(
  args: readonly string[],
): Promise<{ readonly code: number; readonly stdout: string }> {
  const cwd = await mkdtemp(join(tmpdir(), "holdfast-conformance-"));
  atEnd(() => rm(cwd, { recursive: true, force: true }));
  const bin = join(PROJECT, "node_modules", ".bin", "conformance");
  return new Promise((resolve) => {
    execFile(bin, args, { cwd, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, stdout: out + err });
    });
  });
}

/** The suite wants a name of this machine; the service listens at an address. */
export const local = (url: string) => url.replace("127.0.0.1", "localhost");
