import { describe, expect, it } from "vitest";
import { placementOf, shardName } from "../../../src/directory/placement.ts";

const ids = Array.from({ length: 4000 }, () => crypto.randomUUID());

describe("placementOf", () => {
  it("is what it always was: entries lie where these say", () => {
    const id = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
    const places = [1, 2, 3, 8, 16, 256].map((shards) => placementOf(id, shards));
    expect(places).toEqual([0, 0, 0, 7, 7, 226]);
    expect(shardName(226)).toBe("shard-226");
    // So many places show every bit of the calculation.
    expect(placementOf(id, 2 ** 31)).toBe(445_189_155);
  });

  it("spreads ids evenly", () => {
    const sizes = Array.from({ length: 8 }, () => 0);
    for (const id of ids) sizes[placementOf(id, 8)]!++;
    expect(Math.min(...sizes)).toBeGreaterThan(400);
    expect(Math.max(...sizes)).toBeLessThan(600);
  });

  it("moves an entry to a new shard or nowhere when shards are added", () => {
    let moved = 0;
    for (const id of ids) {
      const [before, after] = [placementOf(id, 8), placementOf(id, 12)];
      if (before === after) continue;
      moved++;
      expect(after).toBeGreaterThanOrEqual(8);
    }
    expect(moved / ids.length).toBeCloseTo(4 / 12, 1);
  });
});
