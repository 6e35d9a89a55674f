import { describe, expect, it } from "vitest";
import type { Answer, History, Page, Seen, Visit } from "../../soak/history.ts";
import { S, event, found, gap, idOf, moment, publish, seen } from "./histories.ts";

const END = idOf(4);
const visit = (frames: readonly Seen[], endId?: string): Visit => ({ seen: frames, endId });
const reload = (numbers: readonly number[], endId?: string) => visit(seen(...numbers), endId);
const page = (numbers: readonly number[], ended = false): Page => ({
  after: undefined,
  events: numbers.map(event),
  lastEventId: ended ? END : idOf(numbers.at(-1) ?? 0),
  ended,
  at: Infinity,
});

/** Three events and an end, read by a page that reloads twice, and as two pages of JSON. */
const sound: Answer = {
  session: S,
  keepsId: false,
  endIds: [END, END],
  streams: [reload([1]), reload([1, 2]), reload([3], END), reload([], END)],
  pages: [page([1, 2]), { ...page([3], true), after: idOf(2) }],
  afterEnd: 204,
};

const told = (changes: Partial<Answer>) => found({ answers: [{ ...sound, ...changes }] });

it("finds nothing in a sound answer, nor in one whose end was not acknowledged", () => {
  expect(told({})).toEqual([]);
  const open = { endIds: [], streams: [reload([1])], pages: [page([1])], afterEnd: undefined };
  expect(told(open)).toEqual([]);
});

describe("readers without an id", () => {
  it("get every event between them: an event that no stream shows is lost", () => {
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

describe("a reader with an id", () => {
  const keeper = (...streams: Visit[]) => told({ keepsId: true, streams });

  it("gets every event once over all its streams", () => {
    expect(keeper(reload([1]), reload([2, 3], END))).toEqual([]);
    expect(keeper(reload([1]), reload([3], END))).toEqual(["event lost"]);
    expect(keeper(reload([2, 3], END))).toEqual(["event lost"]);
    expect(keeper(reload([1, 2]), reload([2, 3], END))).toEqual(["event out of order"]);
    expect(keeper(reload([1, 2]), reload([], END))).toEqual(["event lost"]);
    expect(keeper(reload([1]), reload([2]))).toEqual(["end lost"]);
  });
});

describe("pages", () => {
  const pages = (...read: Page[]) => told({ pages: read });

  it("join without a hole or a repeat, up to the last event", () => {
    expect(pages(page([2, 3], true))).toEqual(["gap without cause"]);
    expect(pages(page([1]), { ...page([3], true), after: idOf(1) })).toEqual(["event lost"]);
    expect(pages(page([1, 2]), { ...page([2, 3], true), after: idOf(2) })).toEqual([
      "event out of order",
    ]);
    expect(pages(page([1, 2], true))).toEqual(["event lost"]);
  });

  it("show each event as it is in the log", () => {
    const other = { ...page([1, 2, 3], true), events: [{ id: idOf(1), data: "event 2" }] };
    expect(pages(other)).toEqual(["event never published", "event lost"]);
  });
});

describe("a session that trims", () => {
  const END_OF_SIX = idOf(7);
  const publishes = [1, 2, 3, 4].map((n) => publish([n]));
  const early = moment();
  publishes.push(publish([5]), publish([6]));
  /** Six events in a log of three, read by a stream or two and by a script that came late. */
  const trimmed = (
    changes: Partial<Answer>,
    more: Partial<History> = {},
    read: readonly Page[] = [{ ...page([4, 5, 6], true), lastEventId: END_OF_SIX }],
  ) => {
    const told = { ...sound, endIds: [END_OF_SIX, END_OF_SIX], pages: read, ...changes };
    const logs = [{ session: S, events: [4, 5, 6].map(event) }];
    const all = { retained: 3, publishes, logs, followings: [], answers: [told] };
    return found({ ...all, ...more });
  };
  const none = (earliest: number, at?: number): Seen => {
    return { ...gap(0, earliest, at), requested: "", place: "" };
  };
  const whole = visit(seen(1, 2, 3, 4, 5, 6), END_OF_SIX);

  it("tells a reader without an id of what it never gets", () => {
    const fresh = (...streams: Visit[]) => trimmed({ streams });
    expect(fresh(whole)).toEqual([]);
    expect(fresh(visit([none(4), ...seen(4, 5, 6)], END_OF_SIX))).toEqual([]);
    expect(fresh(reload([1]), visit([none(4), ...seen(4, 5, 6)], END_OF_SIX))).toEqual([]);
    // It may be told of events that it had, and was not known to have taken.
    expect(fresh(reload([1, 2, 3, 4]), visit([none(4), ...seen(4, 5, 6)], END_OF_SIX))).toEqual([]);
    expect(fresh(reload([1]), visit(seen(4, 5, 6), END_OF_SIX))).toEqual(["event lost"]);
    expect(fresh(reload([1]), visit([none(4), ...seen(5, 6)], END_OF_SIX))).toEqual(["event lost"]);
    expect(fresh(reload([1]), visit([none(4), ...seen(4, 5)], END_OF_SIX))).toEqual(["event lost"]);
  });

  it("tells a reader with an id, once, and of no more than was trimmed", () => {
    const keeper = (...streams: Visit[]) => trimmed({ keepsId: true, streams });
    const last = (...frames: Seen[]) => visit(frames, END_OF_SIX);
    expect(keeper(reload([1]), last(gap(1, 4), ...seen(4, 5, 6)))).toEqual([]);
    expect(keeper(reload([1]), last(...seen(4, 5, 6)))).toEqual(["event lost"]);
    // Too much: the log holds 4 still, or the reader had 2.
    expect(keeper(reload([1]), last(gap(1, 5), ...seen(5, 6)))).toEqual(["gap without cause"]);
    expect(
      keeper(reload([1, 2]), last({ ...gap(1, 4), place: idOf(2) }, ...seen(4, 5, 6))),
    ).toEqual(["gap without cause"]);
    // Too little: 3 is gone as well, and nothing says so.
    expect(keeper(reload([1]), last(gap(1, 3), ...seen(4, 5, 6)))).toEqual(["event lost"]);
    // Nothing: the next event is there.
    expect(keeper(reload([1, 2, 3]), last(gap(3, 4), ...seen(4, 5, 6)))).toEqual([
      "gap without cause",
    ]);
    // The events after a gap are new to the reader.
    expect(keeper(reload([1, 2, 3, 4, 5]), last(gap(5, 4), ...seen(4, 5, 6)))).toEqual([
      "gap without cause",
      "gap without cause",
    ]);
  });

  it("cannot have a gap before its log was full", () => {
    const at = (moment: number) =>
      trimmed({ streams: [visit([none(4, moment), ...seen(4, 5, 6)], END_OF_SIX)] });
    expect(at(Infinity)).toEqual([]);
    expect(at(early)).toEqual(["gap without cause"]);
  });

  it("tells a script by a gap in its page, and at first by the event that its page begins with", () => {
    const pages = (...read: Page[]) => trimmed({ streams: [whole] }, {}, read);
    const rest = { ...page([4, 5, 6], true), lastEventId: END_OF_SIX, after: idOf(1) };
    const said = { requested: idOf(1), earliest: idOf(4) };
    expect(pages({ ...rest, after: undefined })).toEqual([]);
    expect(pages({ ...rest, after: undefined, at: early })).toEqual(["gap without cause"]);
    expect(pages(page([1]), { ...rest, gap: said })).toEqual([]);
    expect(pages(page([1]), rest)).toEqual(["event lost"]);
    expect(pages(page([1]), { ...rest, gap: { ...said, requested: idOf(2) } })).toEqual([
      "gap without cause",
    ]);
    expect(pages(page([1]), { ...rest, gap: { ...said, earliest: idOf(5) } })).toEqual([
      "gap without cause",
      "event out of order",
    ]);
  });

  it("publishes an event once under its key, also one that it has trimmed and nobody saw", () => {
    // Number 3 is the first 2, again.
    const doubled = [publish([1]), publish([2]), ...[4, 5, 6].map((n) => publish([n]))];
    const unread = { streams: [visit([none(4), ...seen(4, 5, 6)], END_OF_SIX)] };
    expect(trimmed(unread, { publishes: doubled })).toEqual(["published twice"]);
    const shown: Seen[] = [...seen(1, 2), { kind: "event", ...event(2), id: idOf(3) }];
    const read = { streams: [visit([...shown, ...seen(4, 5, 6)], END_OF_SIX)] };
    expect(trimmed(read, { publishes: doubled })).toEqual([
      "published twice",
      "event never published",
    ]);
    const lost = [publish([1]), publish([3], "unknown"), publish([2]), ...doubled.slice(2)];
    expect(trimmed(unread, { publishes: lost })).toEqual([]);
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
