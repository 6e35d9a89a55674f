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
  const cwd = await mkdtemp(join(tmpdir(), "holdfast-conformance-"));
  atEnd(() => rm(cwd, { recursive: true, force: true }));
  const bin = join(PROJECT, "node_modules", ".bin", "conformance");
  const args = ["server", "--url", url, "--requirements", version];
  const { code, stdout } = await new Promise<{ code: number; stdout: string }>((resolve) => {
    execFile(bin, args, { cwd, maxBuffer: 1 << 26 }, (error, out, err) => {
      resolve({ code: error ? Number(error.code) : 0, stdout: out + err });
    });
  });
  const lines = [...stdout.matchAll(/^([✓✗]) (\S+): \d+ passed/gm)];
  const scenarios = Object.fromEntries(lines.map(([, mark, name]) => [name, mark === "✓"]));
  return { exitCode: code, scenarios };
}

/** The suite wants a name of this machine; the service listens at an address. */
export const local = (url: string) => url.replace("127.0.0.1", "localhost");
