import { expect, it } from "vitest";
import { Disagreements } from "../../soak/disagreements.ts";

const there = (...ids: string[]) => new Map(ids.map((id) => [id, "value"]));

it("says once of each session that it has disagreed for long, and how", () => {
  const disagreements = new Disagreements();
  expect(disagreements.look(["gone", "both"], there("both", "new"), 1000)).toEqual(new Map());
  expect(disagreements.look(["gone", "both"], there("both", "new"), 5999)).toEqual(new Map());
  const late = disagreements.look(["gone", "both"], there("both", "new"), 6000);
  expect([...late]).toEqual([
    ["gone", "it is listed and is not there"],
    ["new", "it is there and is not listed"],
  ]);
  expect(disagreements.look(["gone", "both"], there("both", "new"), 9000)).toEqual(new Map());
  disagreements.look(["both"], there("both"), 9500);
  expect(disagreements).toMatchObject({ count: 2, late: 2, longestSeconds: 8.5 });
});

it("counts one that comes and goes from its return on", () => {
  const disagreements = new Disagreements();
  disagreements.look(["a"], there(), 0);
  disagreements.look([], there(), 4000);
  expect(disagreements.look(["a"], there(), 8000)).toEqual(new Map());
  expect(disagreements).toMatchObject({ count: 1, late: 0, longestSeconds: 4 });
});
