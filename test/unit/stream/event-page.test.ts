import { describe, expect, it } from "vitest";
import { formatEventId, resumeVerdict } from "../../../src/core/event-id.ts";
import { MAX_PAGE_BYTES } from "../../../src/core/limits.ts";
import { gapIn, hasNews, pageOf } from "../../../src/stream/event-page.ts";

const epoch = "0".repeat(15);
const idOf = (seq: number, stream = 0) => formatEventId({ epoch, seq, stream });

/** A log whose first retained event has `first` as its seq. */
function logOf(data: readonly string[], first = 1) {
  const last = first + data.length - 1;
  let taken = 0;
  return {
    beforeFirst: first - 1,
    lastSeq: last,
    idOf,
    resume: (id: string, newest: number) => resumeVerdict(id, { epoch, first, last: newest }),
    *after(_stream: number, seq: number) {
      for (let at = Math.max(seq + 1, first); at <= last; at++) {
        taken++;
        yield { seq: at, event: at === 2 ? "two" : null, data: data[at - first] ?? "" };
      }
    },
    get taken() {
      return taken;
    },
  };
}

const dataOf = ({ events }: ReturnType<typeof pageOf>) => events.map(({ data }) => data);

describe("a page", () => {
  it("begins with the earliest event, and says nothing of what was read and trimmed", () => {
    expect(pageOf(logOf(["b", "c"], 2), { limit: 10 }, false)).toEqual({
      events: [
        { id: idOf(2), event: "two", data: "b" },
        { id: idOf(3), data: "c" },
      ],
      lastEventId: idOf(3),
      ended: false,
    });
  });

  it("that begins with the earliest says where unread events were trimmed", () => {
    const log = logOf(["b", "c"], 2);
    const page = pageOf(log, { limit: 10 }, true);
    expect(page.gap).toEqual({ requested: null, earliest: idOf(2) });
    expect(dataOf(page)).toEqual(["b", "c"]);
    expect(pageOf(log, { after: idOf(2), limit: 10 }, true).gap).toBeUndefined();
  });

  it("goes on after an event, and reads no row that it does not give", () => {
    const log = logOf(["a", "b", "c", "d"]);
    const page = pageOf(log, { after: idOf(1), limit: 2 }, false);
    expect([dataOf(page), page.lastEventId, log.taken]).toEqual([["b", "c"], idOf(3), 2]);
  });

  it.each([
    ["nothing is there", logOf([]), {}, idOf(0)],
    ["all is trimmed but the counter", logOf([], 5), {}, idOf(4)],
    ["all has been read", logOf(["a"]), { after: idOf(1) }, idOf(1)],
  ])("is empty where %s, and names its place", (_where, log, query, lastEventId) => {
    const page = pageOf(log, { limit: 1, ...query }, false);
    expect(page).toEqual({ events: [], lastEventId, ended: false });
    expect(hasNews(page)).toBe(false);
  });

  it.each([
    ["trimmed", idOf(1)],
    ["not given yet", idOf(9)],
    ["another session's", `${"1".repeat(15)}-000000000003-0`],
    ["another stream's", idOf(3, 1)],
    ["no id", "x"],
  ])("says where its place is %s, and gives what is retained", (_what, after) => {
    const page = pageOf(logOf(["c", "d"], 3), { after, limit: 10 }, false);
    expect(page.gap).toEqual({ requested: after, earliest: idOf(3) });
    expect(dataOf(page)).toEqual(["c", "d"]);
  });

  it("ends with the event that fills it, however large a single one is", () => {
    const large = "x".repeat(MAX_PAGE_BYTES);
    const log = logOf([large, "b", large]);
    expect(dataOf(pageOf(log, { limit: 10 }, false))).toEqual([large]);
    expect(dataOf(pageOf(log, { after: idOf(1), limit: 10 }, false))).toEqual(["b"]);
    expect(dataOf(pageOf(log, { after: idOf(2), limit: 10 }, false))).toEqual([large]);
  });

  it("says that the stream is complete where nothing follows it, with the id of the end", () => {
    const log = logOf(["a", "b"]);
    expect(pageOf(log, { limit: 1 }, false, 3)).toMatchObject({
      lastEventId: idOf(1),
      ended: false,
    });
    expect(pageOf(log, { limit: 2 }, false, 3)).toMatchObject({
      lastEventId: idOf(3),
      ended: true,
    });
    expect(pageOf(log, { after: idOf(3), limit: 2 }, false, 3)).toEqual({
      events: [],
      lastEventId: idOf(3),
      ended: true,
    });
    const empty = pageOf(logOf([]), { limit: 1 }, false, 1);
    expect(empty).toEqual({ events: [], lastEventId: idOf(1), ended: true });
    expect(hasNews(empty)).toBe(true);
  });
});

it("a gap in an empty log has no earliest event, and is news", () => {
  expect(gapIn(logOf([]), "x")).toEqual({ requested: "x", earliest: null });
  expect(hasNews(pageOf(logOf([]), { after: "x", limit: 1 }, false))).toBe(true);
});
