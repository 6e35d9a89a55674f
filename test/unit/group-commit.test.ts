import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { GroupCommit } from "../../src/group-commit.ts";

const WEIGHTS: Readonly<Record<string, number>> = { heavy: 0.6, half: 0.5, giant: 2 };

/** A commit whose every step the test decides. */
function commitOf() {
  const turns: string[][] = [];
  const waits: { readonly for: string; readonly end: PromiseWithResolvers<void> }[] = [];
  const wait = (what: string) => {
    const end = Promise.withResolvers<void>();
    waits.push({ for: what, end });
    return end.promise;
  };
  const commit = new GroupCommit<string, string, string>({
    work(job) {
      if (job.startsWith("bad")) throw new Error(job);
      return job;
    },
    finish(jobs) {
      turns.push([...jobs]);
      if (jobs.includes("throw")) throw new Error("the turn failed");
      return (job) => job.toUpperCase();
    },
    weigh: (job) => WEIGHTS[job.split(" ")[0]!] ?? 0.01,
    async pause(calls) {
      await wait("commit");
      if (calls > 1) await wait("hold");
    },
  });
  return { commit, turns, waits };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it("does a call that comes alone at once, and the next once its commit is over", async () => {
  const { commit, turns, waits } = commitOf();
  expect(commit.isBusy).toBe(false);
  const first = commit.do("a");
  expect(turns).toEqual([["a"]]);
  expect(commit.isBusy).toBe(true);
  expect(await first).toBe("A");
  waits[0]!.end.resolve();
  await settled();
  expect(commit.isBusy).toBe(false);
  const second = commit.do("b");
  expect(turns).toEqual([["a"], ["b"]]);
  expect(await second).toBe("B");
  expect(waits.map((one) => one.for)).toEqual(["commit", "commit"]);
});

it("does what comes during a commit together after it, in order", async () => {
  const { commit, turns, waits } = commitOf();
  const all = ["a", "b", "c", "d"].map((job) => commit.do(job));
  expect(turns).toEqual([["a"]]);
  waits[0]!.end.resolve();
  expect(await Promise.all(all)).toEqual(["A", "B", "C", "D"]);
  expect(turns).toEqual([["a"], ["b", "c", "d"]]);
});

it("holds what comes after several for longer, and after a single one not", async () => {
  const { commit, turns, waits } = commitOf();
  for (const job of ["a", "b", "c"]) void commit.do(job);
  waits[0]!.end.resolve();
  await settled();
  const late = commit.do("late");
  waits[1]!.end.resolve();
  await settled();
  expect(turns).toHaveLength(2);
  expect(waits[2]!.for).toBe("hold");
  waits[2]!.end.resolve();
  expect(await late).toBe("LATE");
  waits[3]!.end.resolve();
  await settled();
  expect(waits.map((one) => one.for)).toEqual(["commit", "commit", "hold", "commit"]);
  void commit.do("alone");
  expect(turns.at(-1)).toEqual(["alone"]);
});

it("tells a failure to its own caller alone", async () => {
  const { commit, waits } = commitOf();
  const all = ["a", "bad", "c"].map((job) => commit.do(job));
  waits[0]!.end.resolve();
  const [first, failed, last] = await Promise.allSettled(all);
  expect(first).toEqual({ status: "fulfilled", value: "A" });
  expect(failed).toEqual({ status: "rejected", reason: new Error("bad") });
  expect(last).toEqual({ status: "fulfilled", value: "C" });
});

it("goes on after a commit that failed", async () => {
  const { commit, waits } = commitOf();
  void commit.do("a");
  const next = commit.do("b");
  waits[0]!.end.reject(new Error("disk full"));
  expect(await next).toBe("B");
});

it("answers everybody after a turn that threw, and goes on", async () => {
  const { commit, turns, waits } = commitOf();
  const first = commit.do("a");
  const failed = ["b", "throw"].map((job) => commit.do(job));
  waits[0]!.end.resolve();
  expect(await first).toBe("A");
  for (const one of await Promise.allSettled(failed)) {
    expect(one).toEqual({ status: "rejected", reason: new Error("the turn failed") });
  }
  const later = commit.do("later");
  waits[1]!.end.resolve();
  await settled();
  waits[2]!.end.reject(new Error("no timer"));
  expect(await later).toBe("LATER");
  expect(turns).toEqual([["a"], ["b", "throw"], ["later"]]);
});

it("does no more in one turn than that holds, and at least one", async () => {
  const { commit, turns, waits } = commitOf();
  const jobs = [
    "a",
    "heavy 1",
    "b",
    "heavy 2",
    "heavy 3",
    "c",
    "giant",
    "half 1",
    "half 2",
    "half 3",
  ];
  const all = jobs.map((job) => commit.do(job));
  for (let n = 0; n < 7; n++) {
    waits.at(-1)!.end.resolve();
    await settled();
    if (waits.at(-1)!.for === "hold") waits.at(-1)!.end.resolve();
    await settled();
  }
  await Promise.all(all);
  expect(turns).toEqual([
    ["a"],
    ["heavy 1", "b"],
    ["heavy 2"],
    ["heavy 3", "c"],
    ["giant"],
    ["half 1", "half 2"],
    ["half 3"],
  ]);
});

describe("with a time to gather", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  function gathering() {
    const done: string[] = [];
    const commit = new GroupCommit<string, string, string>({
      work(job) {
        if (job === "bad") throw new Error("full");
        done.push(job);
        return job;
      },
      finish: () => (job) => job.toUpperCase(),
      gatherMs: 5,
    });
    return { commit, done };
  }

  it("does what came within its time in one turn, in order, and what comes later in another", async () => {
    const { commit, done } = gathering();
    const first = commit.do("a");
    await vi.advanceTimersByTimeAsync(4);
    const second = commit.do("b");
    expect(done).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(done).toEqual(["a", "b"]);
    expect(await Promise.all([first, second])).toEqual(["A", "B"]);
    const third = commit.do("c");
    await vi.advanceTimersByTimeAsync(4);
    expect(done).toEqual(["a", "b"]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await third).toBe("C");
  });

  it("tells a failure to its own caller alone", async () => {
    const { commit } = gathering();
    const outcomes = Promise.allSettled([commit.do("bad"), commit.do("other")]);
    await vi.advanceTimersByTimeAsync(5);
    const [failed, fine] = await outcomes;
    expect(failed).toMatchObject({ status: "rejected", reason: new Error("full") });
    expect(fine).toEqual({ status: "fulfilled", value: "OTHER" });
  });
});
