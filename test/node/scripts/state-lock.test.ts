/** The lock of the state's folder, of both kinds: SQLite's, and `flock`'s for a Node without SQLite. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";

type Kind = "SQLite" | "flock";

function makeFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "holdfast-lock-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "state");
}

/** A process that takes the lock and keeps it: what it said of that, and the process. */
async function take(folder: string, kind: Kind): Promise<{ said: string; holder: ChildProcess }> {
  const script = `
    import { holdStateDir } from "./scripts/state-lock.ts";
    await holdStateDir(${JSON.stringify(folder)}, ${JSON.stringify(kind)}).then(
      () => (console.log("held"), setInterval(() => {}, 1000)),
      (failure) => console.log(failure.message),
    );`;
  const holder = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: PROJECT,
    stdio: ["ignore", "pipe", "inherit"],
  });
  onTestFinished(() => void holder.kill("SIGKILL"));
  const [chunk] = (await once(holder.stdout, "data")) as [Buffer];
  return { said: chunk.toString().trim(), holder };
}

const PAIRS: [Kind, Kind][] = [
  ["SQLite", "SQLite"],
  ["flock", "flock"],
  ["SQLite", "flock"],
  ["flock", "SQLite"],
];

it.each(PAIRS)("%s keeps out %s, until its holder is killed", async (first, second) => {
  const folder = makeFolder();
  const { said, holder } = await take(folder, first);
  expect(said).toBe("held");
  const inUse = `STATE_DIR=${folder} is in use by another process`;
  expect((await take(folder, second)).said).toBe(inUse);
  holder.kill("SIGKILL");
  await once(holder, "exit");
  // The system ends the holder of the other kind's lock a moment later.
  await expect.poll(async () => (await take(folder, second)).said).toBe("held");
});
