/** The parts of a listing: cursors, the merge, and when an entry is stale. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DirectoryEntry } from "../../../src/directory/contract.ts";
import {
  decodeCursor,
  encodeCursor,
  compareNewest,
  mergeNewest,
  takeUpTo,
} from "../../../src/directory/listing.ts";
import { stalenessOf, dropTime } from "../../../src/directory/staleness.ts";
import { parseSessionId } from "../../../src/core/id.ts";

const entry = fc
  .record({ uuid: fc.uuid(), createdAt: fc.nat({ max: 20 }) })
  .map(({ uuid, createdAt }): DirectoryEntry => {
    const id = parseSessionId(uuid)!;
    return { id, type: "mcp", createdAt, expiresAt: 1 };
  });

describe("a cursor", () => {
  it("is the place that it was made of", () => {
    fc.assert(
      fc.property(fc.uuid(), fc.nat({ max: 8e15 }), (uuid, createdAt) => {
        const place = { createdAt, id: parseSessionId(uuid)! };
        const text = encodeCursor(place);
        expect(text).toMatch(/^[\w-]+$/);
        expect(decodeCursor(text)).toEqual(place);
      }),
    );
  });

  const HEX = "8c2d0cf47a2b4b73a7f54e3c0b6c1a01";
  const LIKE_IT = [`2.1.${HEX}`, `x1.1.${HEX}`, `1.1.${HEX}0`, `1.zzzzzzzzzzz.${HEX}`].map(btoa);

  it.each(["", "x", "%", "é", ...LIKE_IT])("is not %j", (text) => {
    expect(() => decodeCursor(text)).toThrow("cursor");
  });
});

it("the newer comes first, and of two of one time the one with the higher id", () => {
  const at = (createdAt: number, id: string) => ({ createdAt, id });
  const places = [at(1, "b"), at(2, "a"), at(1, "c"), at(1, "a")];
  const sorted = places.toSorted(compareNewest).map(({ createdAt, id }) => `${createdAt}${id}`);
  expect(sorted).toEqual(["2a", "1c", "1b", "1a"]);
  expect(compareNewest(at(1, "a"), at(1, "a"))).toBe(0);
});

it("takes no more than the limit, and says whether there are more", () => {
  expect(takeUpTo([1, 2, 3], 2)).toEqual({ taken: [1, 2], more: true });
  expect(takeUpTo([1, 2], 2)).toEqual({ taken: [1, 2], more: false });
});

describe("mergeNewest", () => {
  it("gives all entries newest first, each once", () => {
    fc.assert(
      fc.property(fc.array(fc.array(entry)), fc.array(entry), (lists, doubled) => {
        const sources = [...lists, doubled, doubled].map((list) => list.toSorted(compareNewest));
        const all = new Map(sources.flat().map((e) => [`${e.createdAt} ${e.id}`, e]));
        expect([...mergeNewest(sources)]).toEqual([...all.values()].toSorted(compareNewest));
      }),
    );
  });

  it("reads no further than it is read", () => {
    let read = 0;
    const endless = function* (): Generator<DirectoryEntry> {
      const id = parseSessionId(crypto.randomUUID())!;
      for (;;) yield { id, type: "mcp", createdAt: 1000 - read++, expiresAt: 1 };
    };
    expect(takeUpTo(mergeNewest([endless()]), 5)).toMatchObject({ more: true });
    expect(read).toBe(6);
  });
});

describe("stalenessOf", () => {
  const now: DirectoryEntry = {
    id: parseSessionId(crypto.randomUUID())!,
    type: "mcp",
    subject: "a",
    createdAt: 0,
    expiresAt: 1000,
  };
  it.each([
    ["the directory knows nothing", undefined, "content"],
    ["the directory knows everything", now, undefined],
    ["the type is another", { ...now, type: "sse" }, "content"],
    ["the subject is another", { ...now, subject: "b" }, "content"],
    ["it was made again", { ...now, createdAt: 1 }, "content"],
    ["the deadline moved by a quarter", { ...now, expiresAt: 750 }, undefined],
    ["the deadline moved by more", { ...now, expiresAt: 749 }, "deadline"],
    ["the deadline came nearer", { ...now, expiresAt: 1251 }, "deadline"],
  ])("where %s", (_where, told, staleness) => {
    expect(stalenessOf(told && { entry: told }, now, 1000)).toBe(staleness);
  });

  const until = 5000;
  const heldAt = (at: number) => ({ at, renewal: { everyMs: 1000, until: at + until } });

  it.each([
    ["goes on with the session", now, heldAt(10), 1010, undefined],
    ["goes on by another TTL, within a quarter", now, heldAt(10), 1260, undefined],
    ["goes on by another TTL", now, heldAt(10), 1261, "deadline"],
    ["goes on, and its session no longer does", now, undefined, 1000, "deadline"],
    ["has come to its end, within a quarter", now, heldAt(4250), 5250, undefined],
    ["has come to its end", now, heldAt(4251), 5251, "deadline"],
    ["ends with a lifetime", now, heldAt(0), 1000, undefined],
    ["would go on past a lifetime", now, heldAt(-1), 999, "deadline"],
    ["is of another owner", { ...now, subject: "b" }, heldAt(10), 1010, "content"],
  ])("where an entry that renews itself %s", (_where, told, held, expiresAt, staleness) => {
    const listed = { entry: { ...told, expiresAt: until }, renewMs: 1000 };
    expect(stalenessOf(listed, { ...now, expiresAt }, 1000, held)).toBe(staleness);
  });

  it("lets a shard drop an entry only once no use that went untold can keep it alive", () => {
    expect(dropTime(1000, 1000)).toBeGreaterThan(1000 + 250 + 62);
  });
});
