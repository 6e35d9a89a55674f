import { expect, it } from "vitest";
import { keepRunning, type Runnable } from "../../../scripts/keep-running.ts";
import { createLogger } from "../../../src/logger.ts";

/** A program whose runs the test ends, and a clock that the test moves. */
function program() {
  const lines: Record<string, unknown>[] = [];
  const waits: number[] = [];
  const clock = { now: 0 };
  const runs: { crash: (code: number | null, signal?: string) => void; last: unknown }[] = [];
  const failures: Error[] = [];
  const started: (() => void)[] = [];
  const start = async (last: Runnable | undefined): Promise<Runnable> => {
    const failure = failures.shift();
    if (failure) throw failure;
    const { promise, resolve } = Promise.withResolvers<readonly unknown[]>();
    const run = {
      ended: promise,
      stop: async () => resolve([null, "SIGTERM"]),
    };
    runs.push({ crash: (code, signal = undefined) => resolve([code, signal ?? null]), last });
    started.shift()?.();
    return run;
  };
  return {
    lines,
    waits,
    clock,
    runs,
    failures,
    /** Resolves with the next start. */
    nextStart: () => new Promise<void>((resolve) => started.push(resolve)),
    keep: () =>
      keepRunning({
        start,
        log: createLogger("info", (line) => {
          const { time: _time, ...fields } = JSON.parse(line) as Record<string, unknown>;
          lines.push(fields);
        }),
        wait: async (ms) => void waits.push(ms),
        now: () => clock.now,
      }),
  };
}

it("starts the program again, in the place of the last one, and says how that ended", async () => {
  const it = program();
  const kept = await it.keep();
  const first = kept.current;
  const again = it.nextStart();
  it.runs[0]?.crash(null, "SIGABRT");
  await again;
  expect(it.runs[1]?.last).toBe(first);
  await expect
    .poll(() => it.lines)
    .toEqual([
      { level: "error", event: "workerd.ended", how: "SIGABRT", againInMs: 100 },
      { level: "info", event: "workerd.started" },
    ]);
  expect(kept.current).not.toBe(first);
  await kept.stop(0);
});

it("waits longer each time, up to 5 s, and is quick again after a minute without an end", async () => {
  const it = program();
  const kept = await it.keep();
  const crash = async () => {
    const again = it.nextStart();
    it.runs.at(-1)?.crash(1);
    await again;
    await new Promise(setImmediate);
  };
  for (let n = 0; n < 9; n++) await crash();
  expect(it.waits).toEqual([100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
  it.clock.now += 60_000;
  await crash();
  expect(it.waits.at(-1)).toBe(100);
  await kept.stop(0);
});

it("tries again if the program does not start", async () => {
  const it = program();
  const kept = await it.keep();
  it.failures.push(new Error("the port is taken"), new Error("the port is taken"));
  const again = it.nextStart();
  it.runs[0]?.crash(1);
  await again;
  expect(it.waits).toEqual([100, 200, 400]);
  expect(it.lines.filter(({ event }) => event === "workerd.failed")).toEqual([
    expect.objectContaining({ cause: "Error: the port is taken", againInMs: 200 }),
    expect.objectContaining({ againInMs: 400 }),
  ]);
  await kept.stop(0);
});

it("fails if the first start does", async () => {
  const it = program();
  it.failures.push(new Error("a bad variable"));
  await expect(it.keep()).rejects.toThrow("a bad variable");
});

it("ends for good at `stop`, and does not start again", async () => {
  const it = program();
  const kept = await it.keep();
  await kept.stop(0);
  await kept.ended;
  expect(it.runs).toHaveLength(1);
  expect(it.lines).toEqual([]);
});
