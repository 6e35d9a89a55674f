/**
 * Backup and restore, as docs/operations.md has it: all processes of `holdfast serve` are stopped for
 * the moment of the copy, as `systemctl freeze` and `docker pause` do, under publishers that go on.
 */
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { HoldfastClient } from "../../src/client/client.ts";
import { killGroup, run } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { packedCommand } from "../support/packed.ts";
import { atEnd } from "../support/scope.ts";

const PUBLISHERS = 6;
const BACKUPS = 3;
/** A session takes over 2 MB: SQLite moves pages from the WAL into the database now and then, also during a copy. */
const EVENTS = 80;
const DATA = "x".repeat(32 * 1024);

async function serve(stateDir: string) {
  const port = await freePort();
  const env = { PORT: String(port), STATE_DIR: stateDir, LOG_LEVEL: "info" };
  const running = run([await packedCommand(), "serve"], env);
  await running.printed(/^holdfast listening on /);
  return { ...running, client: new HoldfastClient({ url: `http://127.0.0.1:${port}` }) };
}

async function folder(): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "holdfast-backup-"));
  atEnd(() => rm(path, { recursive: true, force: true }));
  return path;
}

/** Every process of the group stands still, each of its threads: `work` sees one moment. */
function whileFrozen(pid: number, work: () => void): void {
  process.kill(-pid, "SIGSTOP");
  try {
    while (!groupOf(pid).every(stands))
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    work();
  } finally {
    process.kill(-pid, "SIGCONT");
  }
}

/** Reads the fields that /proc has of a process or thread, from its state on. Before the state comes the name, in brackets. */
function statOf(path: string): string[] {
  try {
    const stat = readFileSync(`${path}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  } catch {
    return [];
  }
}

function groupOf(group: number): number[] {
  const pids = readdirSync("/proc").map(Number).filter(Boolean);
  return pids.filter((pid) => statOf(`/proc/${pid}`)[2] === String(group));
}

function stands(pid: number): boolean {
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.every((thread) =>
    ["T", "Z", undefined].includes(statOf(`/proc/${pid}/task/${thread}`)[0]),
  );
}

describe("a backup", { timeout: 180_000 }, () => {
  it("that is taken under load and restored has every event that was acknowledged before it", async () => {
    const stateDir = await folder();
    const service = await serve(stateDir);
    const { client } = service;
    const acknowledged = new Map<string, string[]>();
    const stop = new AbortController();
    let total = 0;
    const publisher = async () => {
      while (!stop.signal.aborted) {
        const { id } = await client.create({ metadata: { made: "under load" } });
        acknowledged.set(id, []);
        for (let n = 0; n < EVENTS && !stop.signal.aborted; n++) {
          const published = await client.publish(id, { data: DATA });
          acknowledged.get(id)!.push(published.id);
          total++;
        }
      }
    };
    const publishing = Promise.all(Array.from({ length: PUBLISHERS }, publisher));
    const backups: { readonly copy: string; readonly known: Map<string, readonly string[]> }[] = [];
    let expiring = "";
    for (let n = 0; n < BACKUPS; n++) {
      const before = total;
      await expect
        .poll(() => total - before, { interval: 5, timeout: 60_000 })
        .toBeGreaterThan(100);
      if (n === BACKUPS - 1) expiring = (await client.create({ ttlSeconds: 2 })).id;
      const copy = await folder();
      whileFrozen(service.process.pid ?? 0, () => {
        const known = new Map([...acknowledged].map(([id, ids]) => [id, [...ids]]));
        execFileSync("cp", ["-a", "--reflink=auto", `${stateDir}/.`, copy]);
        backups.push({ copy, known });
      });
    }
    stop.abort();
    // Publishers that had waited meanwhile went on: the service lost nothing by standing still.
    await publishing;
    killGroup(service.process);
    await service.exit;

    const restore = async ({ copy, known }: (typeof backups)[number]) => {
      const restored = await serve(copy);
      const lost: string[] = [];
      for (const [id, ids] of known) {
        const { events } = await restored.client.read(id, { limit: 1000 });
        const held = new Set(events.map((event) => event.id));
        lost.push(...ids.filter((one) => !held.has(one)));
      }
      expect(lost).toEqual([]);
      const listed = async () => {
        const { count } = await restored.client.count();
        return count;
      };
      // The directory is of the same moment, or hears of the last sessions now.
      await expect.poll(listed, { timeout: 30_000 }).toBeGreaterThanOrEqual(known.size);
      if (copy === backups.at(-1)?.copy) {
        const expired = restored.printed(new RegExp(`"session.expired".*${expiring.slice(0, 8)}`));
        expect(await expired).toContain("session.expired");
      }
      restored.process.kill("SIGTERM");
      expect(await restored.exit).toBe(0);
      expect(
        restored.lines.filter((line) =>
          /"storage\.(damaged|failed|mended)"|"level":"error"/.test(line),
        ),
      ).toEqual([]);
    };
    await Promise.all(backups.map(restore));
  });
});
