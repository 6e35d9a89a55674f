import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  formatEventId,
  newEpoch,
  parseEventId,
  resumeVerdict,
  seqOf,
} from "../../../src/core/event-id.ts";

const epoch = newEpoch(1_800_000_000_000, 0.5);
const position = fc.record({
  epoch: fc
    .tuple(fc.integer({ min: 0, max: 8e12 }), fc.double({ min: 0, max: 0.999999, noNaN: true }))
    .map(([now, random]) => newEpoch(now, random)),
  seq: fc.integer({ min: 0, max: 999_999_999_999 }),
  stream: fc.integer({ min: 0, max: 999_999_999 }),
});

describe("event ids", () => {
  it("come back as they were", () => {
    fc.assert(
      fc.property(position, (p) => {
        expect(parseEventId(formatEventId(p))).toEqual(p);
        expect(seqOf(formatEventId(p))).toBe(p.seq);
      }),
    );
  });

  it("of one session sort as strings in the order of publishing, over all streams", () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        const [x, y] = [formatEventId(a), formatEventId({ ...b, epoch: a.epoch })];
        fc.pre(a.seq !== b.seq);
        expect(x < y).toBe(a.seq < b.seq);
      }),
    );
  });

  it("of a session made later under the same id sort after", () => {
    const old = formatEventId({ epoch: newEpoch(1_800_000_000_000, 0.999), seq: 999, stream: 0 });
    expect(old < formatEventId({ epoch: newEpoch(1_800_000_000_001, 0), seq: 1, stream: 0 })).toBe(
      true,
    );
  });

  it.each([
    "",
    "x",
    "1-2-3",
    `${epoch}-1-0`,
    `${epoch}-000000000001-`,
    `${epoch}-000000000001-01`,
    `${epoch}-000000000001-0\n`,
    `${epoch.toUpperCase()}-000000000001-0`,
  ])("refuse %j", (text) => expect(parseEventId(text)).toBeUndefined());
});

describe("resumeVerdict", () => {
  const id = (seq: number, of = epoch) => formatEventId({ epoch: of, seq, stream: 0 });
  it.each([
    ["an empty log, from its start", id(0), 1, 0, "resume"],
    ["the last event", id(9), 1, 9, "resume"],
    ["just before the oldest retained", id(4), 5, 9, "resume"],
    ["one before that", id(3), 5, 9, "trimmed"],
    ["an event to come", id(10), 5, 9, "future"],
    ["another epoch", id(7, newEpoch(1, 0)), 5, 9, "foreign"],
    ["no id", "7", 5, 9, "malformed"],
  ])("%s", (_name, lastEventId, first, last, expected) => {
    const verdict = resumeVerdict(lastEventId, { epoch, first, last });
    expect(verdict.kind === "gap" ? verdict.reason : verdict.kind).toBe(expected);
  });
});
