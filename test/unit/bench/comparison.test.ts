import { beforeEach, expect, it, vi } from "vitest";
import { addedP50, claim, compare, OURS } from "../../../bench/comparison.ts";
import type { Contender } from "../../../bench/measure.ts";

// Keeps progress out of the test's output.
beforeEach(() => {
  const quiet = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  return () => quiet.mockRestore();
});

/** A contender whose rounds after the warm-up have these p50. Each p99 is ten times the p50. */
function contender(name: string, p50s: readonly number[]): Contender {
  const left = [0, ...p50s];
  return {
    name,
    pid: process.pid,
    run() {
      const p50 = left.shift() ?? NaN;
      return Promise.resolve({ count: 1, perSecond: 1, errors: 0, p50, p99: 10 * p50 });
    },
  };
}

it("shows what is added in its rows as in its claims: the median of the rounds' differences", async () => {
  const contenders = [
    contender("direct", [1, 2, 6]),
    contender(OURS, [4, 9, 8]),
    contender("peer", [5, 4, 10]),
  ];
  const comparison = { job: "call", measures: [addedP50(["<", 1])], base: "direct" };
  const { rows, claims } = await compare(comparison, contenders, { rounds: 3, seconds: 1 });
  expect(rows).toMatchObject([
    { server: "direct", p50: 2, "added p50": 0, "added p99": 0 },
    { server: OURS, p50: 8, "added p50": 3, "added p99": 30 },
    { server: "peer", p50: 5, "added p50": 4, "added p99": 40 },
  ]);
  expect(claims).toMatchObject([{ holdfast: 3, other: "peer", its: 4, ratio: 0.75, met: true }]);
});

it("adds nothing to a comparison without a base", async () => {
  const contenders = [contender(OURS, [1]), contender("peer", [2])];
  const { rows } = await compare({ job: "call", measures: [] }, contenders, {
    rounds: 1,
    seconds: 1,
  });
  expect(rows[0]).not.toHaveProperty("added p50");
});

const evidence = {
  what: "read, a second",
  other: "floor",
  ours: [90, 100, 80],
  theirs: [100, 100, 100],
};

it("a claim is the ratio of medians, with the rounds' own ratios around it", () => {
  expect(claim({ ...evidence, target: ["≥", 0.9] })).toEqual({
    what: "read, a second",
    holdfast: 90,
    other: "floor",
    its: 100,
    ratio: 0.9,
    least: 0.8,
    greatest: 1,
    target: "≥ 0.9",
    met: true,
  });
});

it("a target is met from its bound on, or missed", () => {
  const met = (relation: "≥" | "≤" | "<", bound: number) =>
    claim({ ...evidence, target: [relation, bound] }).met;
  expect([met("≥", 0.9), met("≥", 0.91), met("≤", 0.9), met("≤", 0.89)]).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect([met("<", 0.91), met("<", 0.9)]).toEqual([true, false]);
});
