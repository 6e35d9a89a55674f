import { expect, it } from "vitest";
import { Timeline } from "../../soak/timeline.ts";

it.each([
  ["kill", true, true],
  ["disk", true, true],
  ["abort", true, false],
  ["cut", false, false],
  ["redis", false, false],
] as const)("says whether %s can have ended an object", async (kind, its, others) => {
  const timeline = new Timeline();
  timeline.start();
  const before = timeline.now;
  await timeline.struck(kind, "mine", async () => {});
  expect(timeline.endedSince(before, "mine")).toBe(its);
  expect(timeline.endedSince(before, "other")).toBe(others);
  expect(timeline.endedSince(timeline.now + 1, "mine")).toBe(false);
});
