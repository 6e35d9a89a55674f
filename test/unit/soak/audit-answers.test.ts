import { describe, expect, it } from "vitest";
import type { Answer, Reload } from "../../soak/history.ts";
import { S, event, found, idOf, publish } from "./histories.ts";

const END = idOf(4);
const reload = (numbers: readonly number[], endId?: string): Reload => ({
  events: numbers.map(event),
  endId,
});
const page = (numbers: readonly number[], ended = false) => ({
  events: numbers.map(event),
  lastEventId: ended ? END : idOf(numbers.at(-1) ?? 0),
  ended,
});

/** Three events and an end, read by a page that reloads twice, and as two pages of JSON. */
const sound: Answer = {
  session: S,
  endIds: [END, END],
  streams: [reload([1]), reload([1, 2]), reload([3], END), reload([], END)],
  pages: [page([1, 2]), page([3], true)],
  afterEnd: 204,
};

const told = (changes: Partial<Answer>) => found({ answers: [{ ...sound, ...changes }] });

it("finds nothing in a sound answer, nor in one whose end was not acknowledged", () => {
  expect(told({})).toEqual([]);
  const open = { endIds: [], streams: [reload([1])], pages: [page([1])], afterEnd: undefined };
  expect(told(open)).toEqual([]);
});

describe("readers without an id", () => {
  it("get among them every event: one that no stream shows is lost", () => {
    expect(told({ streams: [reload([1]), reload([3], END)] })).toEqual(["event lost"]);
    expect(told({ streams: [reload([2, 3], END)] })).toEqual(["event lost"]);
    expect(told({ streams: [reload([1]), reload([], END)] })).toEqual(["event lost"]);
  });

  it("get them without a hole and in order, each", () => {
    expect(told({ streams: [reload([1, 2]), reload([1, 3], END)] })).toEqual(["event lost"]);
    expect(told({ streams: [reload([1, 2]), reload([2, 1, 2, 3], END)] })).toEqual([
      "event out of order",
    ]);
  });

  it("get nothing that is not in the log", () => {
    const streams = [reload([1, 2, 3]), reload([9], END)];
    expect(told({ streams })).toEqual(["event never published"]);
  });
});

describe("pages", () => {
  it("join without a hole or a repeat, up to the last event", () => {
    expect(told({ pages: [page([1]), page([3], true)] })).toEqual(["page wrong"]);
    expect(told({ pages: [page([1, 2]), page([2, 3], true)] })).toEqual(["page wrong"]);
    expect(told({ pages: [page([1, 2], true)] })).toEqual(["page wrong"]);
  });

  it("show each event as it is in the log", () => {
    const other = { ...page([1, 2, 3], true), events: [{ id: idOf(1), data: "event 2" }] };
    expect(told({ pages: [other] })).toEqual(["page wrong"]);
  });
});

describe("the end", () => {
  it("reaches readers, pages, and a client that comes back with it", () => {
    expect(told({ streams: [reload([1, 2, 3])] })).toEqual(["end lost"]);
    expect(told({ pages: [page([1, 2, 3])] })).toEqual(["end lost"]);
    expect(told({ afterEnd: 200 })).toEqual(["end lost"]);
    expect(told({ afterEnd: undefined })).toEqual(["end lost"]);
  });

  it("has one id, which comes after all events", () => {
    expect(told({ endIds: [END, idOf(5)] })).toEqual(["end changed"]);
    expect(told({ streams: [reload([1, 2, 3], idOf(5))] })).toEqual(["end changed"]);
    expect(told({ pages: [{ ...page([1, 2, 3], true), lastEventId: idOf(3) }] })).toEqual([
      "end changed",
    ]);
    const early = { endIds: [idOf(2)], streams: [reload([1, 2, 3], idOf(2))] };
    expect(told({ ...early, pages: [{ ...page([1, 2, 3], true), lastEventId: idOf(2) }] })).toEqual(
      ["end changed"],
    );
  });
});

describe("a publish that was repeated under its key", () => {
  const repeatedWith = (...repeats: string[][]) =>
    found({ publishes: [publish([1]), { ...publish([2]), repeats }, publish([3])] });

  it("has the ids that it was given at first", () => {
    expect(repeatedWith([idOf(2)], [idOf(2)])).toEqual([]);
    expect(repeatedWith([idOf(2)], [idOf(4)])).toEqual(["published twice"]);
    expect(repeatedWith([])).toEqual(["published twice"]);
  });

  it("is in the log once", () => {
    const logs = [
      { session: S, events: [event(1), event(2), event(3), { ...event(2), id: idOf(4) }] },
    ];
    expect(found({ logs, followings: [] })).toEqual(["event repeated", "event never published"]);
  });
});
