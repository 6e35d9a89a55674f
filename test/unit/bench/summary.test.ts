import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { claim, readResults, section, withSection, claimTable } from "../../../bench/report.ts";
import { PROJECT } from "../../../scripts/bundle.ts";

const evidence = {
  what: "read, a second",
  other: "floor",
  ours: [90, 100, 80],
  theirs: [100, 100, 100],
};

test("a claim is the ratio of medians, with the rounds' own ratios around it", () => {
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

test("a target is met from its bound on, or missed", () => {
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

test("a claim reads as a line of a table", () => {
  const [, , line] = claimTable([claim({ ...evidence, target: ["≥", 0.95] })]);
  expect(line).toBe("| read, a second | 90 | floor: 100 | 0.900 (0.800 to 1) | ≥ 0.95, missed |");
});

test("the README quotes the results that are kept, and only those", async () => {
  const results = await readResults();
  const readme = await readFile(join(PROJECT, "README.md"), "utf8");
  expect(results.length).toBeGreaterThan(0);
  expect(section(results)).toContain("ratio");
  expect(withSection(readme, results)).toBe(readme);
});
