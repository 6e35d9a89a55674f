/**
 * A short soak with each kind of fault. It shows that `npm run soak` works and that nothing is lost.
 * test/unit/soak shows that the auditor finds losses.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { globSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { DEFAULTS } from "../soak/options.ts";
import { soak } from "../soak/soak.ts";
import { PROJECT } from "../../scripts/bundle.ts";
import { atEnd } from "../support/scope.ts";

describe("a soak", () => {
  it("loses nothing in a quarter of a minute of load, kills, aborts and cut connections", async () => {
    const schedule = [
      { at: 2, kind: "abort" },
      { at: 3, kind: "cut" },
      { at: 5, kind: "kill" },
      { at: 7, kind: "redis" },
      { at: 8, kind: "silence" },
      { at: 9, kind: "abort" },
    ] as const;
    const options = {
      ...DEFAULTS,
      seconds: 15,
      sessions: 3,
      subscribers: 2,
      rates: { publish: 30, create: 4, write: 8, delete: 3, redis: 20, call: 0.5, answer: 1 },
    };
    // Once the process ends without a fault of the schedule, and is started again, as serve would.
    const onProgress = (at: number) => {
      if (at !== 10) return;
      const [service] = childrenOf(process.pid).filter(({ args }) => /workerd.*soak/.test(args));
      process.kill(service?.pid ?? NaN, "SIGKILL");
    };
    const { losses, history, journal } = await soak(options, { schedule, onProgress });
    expect(losses).toEqual([]);
    const struck = [...schedule, { at: 10, kind: "end" }].toSorted((a, b) => a.at - b.at);
    expect(journal.timeline.faults.map(({ kind }) => kind)).toEqual(struck.map(({ kind }) => kind));
    // The verdict has substance: events came through, and both storages answered calls.
    const subscribers = history.followings.filter(({ follower }) =>
      follower.startsWith("subscriber"),
    );
    expect(subscribers).toHaveLength(options.sessions * options.subscribers);
    for (const { seen } of subscribers) expect(seen.length).toBeGreaterThan(10);
    const [sessions, redis] = history.keepings;
    for (const changes of [sessions?.changes, redis?.changes]) {
      expect(changes?.filter(({ outcome }) => outcome === "done").length).toBeGreaterThan(10);
    }
    expect(history.calls.filter(({ end }) => end === "result").length).toBeGreaterThan(0);
    const answers = history.answers.filter(({ endIds }) => endIds.length === 2);
    expect(answers.length).toBeGreaterThan(2);
    // Some pages were loaded anew before the end.
    expect(answers.filter(({ streams }) => streams.length > 2).length).toBeGreaterThan(0);
    expect(history.publishes.flatMap(({ repeats = [] }) => repeats).length).toBeGreaterThan(0);
  }, 240_000);

  it("leaves no process and no folder when a signal ends it", async () => {
    const folder = mkdtempSync(join(tmpdir(), "ended-soak-"));
    atEnd(() => rmSync(folder, { recursive: true, force: true }));
    const run = spawn(process.execPath, [join(PROJECT, "test", "soak", "run.ts")], {
      env: { ...process.env, TMPDIR: folder },
      stdio: "ignore",
    });
    atEnd(() => void run.kill("SIGKILL"));
    const ended = once(run, "exit");
    // Redis starts last of all parts that could leave something.
    await vi.waitUntil(() => globSync(join(folder, "holdfast-redis-*", "*", "*")).length > 0, {
      timeout: 60_000,
      interval: 100,
    });
    expect(globSync(join(folder, "bench-soak-*", "bench-soak-*"))).toHaveLength(1);
    const children = childrenOf(run.pid ?? 0);
    for (const name of ["workerd", "redis-server"]) {
      expect(children.filter(({ args }) => args.includes(name))).not.toEqual([]);
    }
    run.kill();
    expect(await ended).toEqual([143, null]);
    // wrangler notes there when it last looked for a newer version.
    expect(readdirSync(folder).filter((name) => name !== "update-check")).toEqual([]);
    await vi.waitUntil(
      () => !processes().some(({ pid }) => children.some((one) => one.pid === pid)),
    );
  }, 90_000);
});

function childrenOf(parent: number): Process[] {
  return processes().filter(({ ppid }) => ppid === parent);
}

interface Process {
  readonly pid: number;
  readonly ppid: number;
  readonly args: string;
}

/** The running processes. Linux also lists ended ones (Z) until their parent asks for their status. */
function processes(): Process[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      try {
        // After the name, which may hold anything: `) STATE PARENT …`.
        const [, stat = ""] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/\) (?=. \d)/);
        const [state, parent] = stat.split(" ");
        const args = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return state === "Z" ? [] : [{ pid: Number(pid), ppid: Number(parent), args }];
      } catch {
        // The process has ended meanwhile.
        return [];
      }
    });
}
