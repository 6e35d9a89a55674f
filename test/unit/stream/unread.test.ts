/** The unread events of a log, and whether more fit without dropping one of them. */
import { describe, expect, it } from "vitest";
import type { SizedEvent } from "../../../src/stream/event-log.ts";
import { Unread, type AccountedLog } from "../../../src/stream/unread.ts";

/** A log of events of ten bytes that holds ten of them, or a hundred bytes; it counts the sums that it is asked for. */
function logOf(lastSeq: number, beforeFirst = 0) {
  const log = {
    limits: { logMaxEvents: 10, logMaxBytes: 100, streamBufferBytes: 1000 },
    lastSeq,
    beforeFirst,
    storedBytes: (lastSeq - beforeFirst) * 10,
    sums: 0,
    sumThrough(seq: number) {
      if (seq !== lastSeq) log.sums++;
      return seq * 10;
    },
  };
  return log satisfies AccountedLog;
}

const events = (...bytes: number[]): SizedEvent[] =>
  bytes.map((size) => ({ data: "", bytes: size }));

describe("the unread part", () => {
  it.each([
    { last: 5, taken: 0, start: 0, count: 5, isTrimmed: false },
    { last: 5, taken: 3, start: 3, count: 2, isTrimmed: false },
    { last: 5, taken: 5, start: 5, count: 0, isTrimmed: false },
    { last: 30, first: 20, taken: 20, start: 20, count: 10, isTrimmed: false },
    { last: 30, first: 20, taken: 12, start: 20, count: 10, isTrimmed: true },
  ])(
    "is all after $taken of $last where $first are gone",
    ({ last, first = 0, taken, ...told }) => {
      const { start, count, isTrimmed } = new Unread(logOf(last, first), taken);
      expect({ start, count, isTrimmed }).toEqual(told);
    },
  );

  it("only grows less", () => {
    const unread = new Unread(logOf(9), 4);
    expect([unread.take(3), unread.take(4), unread.taken]).toEqual([false, false, 4]);
    expect([unread.take(7), unread.taken]).toEqual([true, 7]);
  });
});

describe("room", () => {
  it.each([
    ["the last place by count", 9, 0, events(1), true],
    ["one more than the count", 10, 0, events(1), false],
    ["two for one place", 9, 0, events(1, 1), false],
    ["as many as were taken", 10, 3, events(1, 1, 1), true],
    ["the last byte", 5, 0, events(50), true],
    ["a byte too many", 5, 0, events(51), false],
    ["the bytes that were taken", 5, 2, events(70), true],
    ["a byte more than were taken", 5, 2, events(71), false],
    ["one event larger than the log where nothing is unread", 5, 5, events(101), true],
    ["one beside an unread one", 5, 4, events(101), false],
    ["two that are larger than the log", 5, 5, events(50, 51), false],
  ])("for %s", (_what, last, taken, more, fits) => {
    expect(new Unread(logOf(last), taken).hasRoomFor(more)).toBe(fits);
  });

  it("is known without a row while the log is within its bytes, and with one a change after", () => {
    const log = logOf(6);
    const unread = new Unread(log, 1);
    unread.hasRoomFor(events(40));
    expect(log.sums).toBe(0);
    for (let n = 0; n < 3; n++) unread.hasRoomFor(events(41));
    expect(log.sums).toBe(1);
    unread.take(2);
    for (let n = 0; n < 3; n++) unread.hasRoomFor(events(41));
    expect(log.sums).toBe(2);
  });
});

it("presses once more than half of either bound is unread", () => {
  const pressing = [4, 5, 6].map((last) => new Unread(logOf(last), 0).isPressing);
  expect(pressing).toEqual([false, false, true]);
  const heavy = { ...logOf(4), storedBytes: 120, sumThrough: (seq: number) => seq * 30 };
  expect([1, 2, 3].map((taken) => new Unread(heavy, taken).isPressing)).toEqual([
    true,
    true,
    false,
  ]);
});

it("presses by the count alone where the events are small, and not at exactly half of the bytes", () => {
  const light = (last: number) => ({
    ...logOf(last),
    storedBytes: last,
    sumThrough: (seq: number) => seq,
  });
  expect([5, 6].map((last) => new Unread(light(last), 0).isPressing)).toEqual([false, true]);
  expect(new Unread(logOf(6), 1).isPressing).toBe(false);
});

describe("the events that may be confirmed soon", () => {
  it("has a quarter of the events after it where they are small", () => {
    const light = { ...logOf(9), storedBytes: 9, sumThrough: (seq: number) => seq };
    expect(new Unread(light, 0).settledSoon).toBe(6);
  });

  it("has a quarter of the events after it", () => {
    expect([2, 3, 4, 9].map((last) => new Unread(logOf(last), 0).settledSoon)).toEqual([
      undefined,
      undefined,
      1,
      6,
    ]);
    expect(new Unread(logOf(9), 6).settledSoon).toBeUndefined();
  });

  it.each([
    ["the last but one, where the last is large", [1, 1, 1, 1, 30], 4],
    ["all but what makes a quarter", [20, 10, 10, 10, 5], 2],
    ["nothing, where the first is a quarter from the end", [90, 3, 3], undefined],
    ["the first, where it has a quarter after it", [30, 20, 5], 1],
  ])("or a quarter of the bytes: %s", (_what, sizes, settled) => {
    const limits = { logMaxEvents: 1000, logMaxBytes: 100, streamBufferBytes: 1000 };
    const sumThrough = (seq: number) => sizes.slice(0, seq).reduce((sum, size) => sum + size, 0);
    const lastSeq = sizes.length;
    const log = { limits, lastSeq, beforeFirst: 0, storedBytes: sumThrough(lastSeq), sumThrough };
    expect(new Unread(log, 0).settledSoon).toBe(settled);
  });

  it("costs no row while all bytes are few, and few rows in a large log", () => {
    const light = logOf(2);
    expect(new Unread(light, 0).settledSoon).toBeUndefined();
    expect(light.sums).toBe(0);
    const large = logOf(10_000);
    Object.assign(large.limits, { logMaxEvents: 100_000, logMaxBytes: 100_000 });
    expect(new Unread(large, 0).settledSoon).toBe(7500);
    expect(large.sums).toBeLessThanOrEqual(14);
  });
});
