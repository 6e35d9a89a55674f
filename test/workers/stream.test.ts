/** Streams inside one process. Effects of a real connection are in test/e2e. */
import { abortAllDurableObjects } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { evict, socketsOf, storedBy, takenBy } from "../support/object.ts";
import { readUntil } from "../support/read-until.ts";
import { lastEventIdIn, SseReader } from "../support/sse-reader.ts";

type Headers_ = Record<string, string>;

async function follow(id: string, headers: Headers_ = {}, query = ""): Promise<SseReader> {
  const response = await request("GET", pathOf(id, `/events${query}`), undefined, headers);
  expect(response.status).toBe(200);
  expect(response.headers.get("content-type")).toBe("text/event-stream");
  if (!response.body) throw new Error("a stream has a body");
  return new SseReader(response.body);
}

const publish = (id: string, body: unknown) =>
  call<{ id: string; ids: string[]; writers: number }>("POST", pathOf(id, "/events"), body);
const dataOf = (frames: readonly { data: string }[]) => frames.map(({ data }) => data);

describe("following", () => {
  it("starts with retry: 1000 and carries id, event and one data line per line", async () => {
    const { id } = await make();
    const reader = await follow(id);
    const sent = await publish(id, { event: "greet", data: "one\ntwo\r\nthree\rfour" });
    expect(sent).toMatchObject({ status: 202, json: { writers: 1 } });
    const [frame] = await reader.take(1);
    expect(frame).toEqual({ id: sent.json.id, event: "greet", data: "one\ntwo\nthree\nfour" });
    expect(reader.text).toMatch(/^retry: 1000\nid: \S+\nretry: 1\d{3}\n\n/);
    expect(reader.text).toContain("data: one\ndata: two\ndata: three\ndata: four\nid: ");
  });

  it("spreads out when clients are to come back, over a second", async () => {
    const { id } = await make();
    const spreads = new Set<number>();
    for (let n = 0; n < 20; n++) {
      const reader = await follow(id);
      await reader.until(/id: /);
      expect(reader.retries[0]).toBe(1000);
      spreads.add(reader.retries[1]!);
      await reader.leave();
    }
    expect(spreads.size).toBeGreaterThan(10);
    for (const ms of spreads) expect(ms >= 1000 && ms < 2000).toBe(true);
  });

  it("gives what has no UTF-8 alike to who follows and who comes later", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await publish(id, { data: "\ud800x" });
    const [live] = await reader.take(1);
    const [replayed] = await (await follow(id, {}, "?from=earliest")).take(1);
    expect([live!.data, replayed!.data]).toEqual(["\ufffdx", "\ufffdx"]);
  });

  it("sends JSON as it is written, a string as it is, and null", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await publish(id, [
      { data: { a: [1, "x"] } },
      { data: "plain" },
      { data: null },
      { data: 1.5 },
      { data: "" },
    ]);
    // An empty string has a data line, though browsers dispatch nothing for it.
    await reader.until(/data: \nid/);
    expect(dataOf(await reader.take(4))).toEqual(['{"a":[1,"x"]}', "plain", "null", "1.5"]);
  });

  it("gives both of two subscribers everything, in order", async () => {
    const { id } = await make();
    const readers = [await follow(id), await follow(id)];
    for (let n = 0; n < 20; n++) expect((await publish(id, { data: n })).json.writers).toBe(2);
    for (const reader of readers) {
      expect(dataOf(await reader.take(20))).toEqual(
        Array.from({ length: 20 }, (_, n) => String(n)),
      );
    }
  });

  it("counts a reader that is behind among the writers of a publish: it gets the event, too", async () => {
    const { id } = await make();
    const reader = await follow(id);
    const large = "x".repeat(60_000);
    for (let n = 0; n < 11; n++) {
      const events = [{ data: `${n}` }, ...Array.from({ length: 6 }, () => ({ data: large }))];
      expect((await publish(id, events)).json.writers).toBe(1);
    }
    const numbers = dataOf(await reader.take(11 * 7)).filter((data) => data !== large);
    expect(numbers).toEqual(Array.from({ length: 11 }, (_, n) => String(n)));
    await reader.leave();
  });

  it("answers HEAD with the stream's headers and attaches nobody", async () => {
    const { id } = await make();
    const response = await request("HEAD", pathOf(id, "/events"));
    expect([response.status, response.headers.get("content-type")]).toEqual([
      200,
      "text/event-stream",
    ]);
    expect(await socketsOf(id)).toBe(0);
  });

  it("says what it is connected to", async () => {
    const { id } = await make();
    const reader = await follow(id);
    expect((await call("GET", pathOf(id))).json).toMatchObject({ connected: true, writers: 1 });
    await reader.leave();
  });
});

describe("resuming", () => {
  it("gives every later event once, from the header or the query; the header wins", async () => {
    const { id } = await make();
    const { json } = await publish(
      id,
      [1, 2, 3, 4].map((data) => ({ data })),
    );
    const seen = { "last-event-id": json.ids[1]! };
    expect(dataOf(await (await follow(id, seen)).take(2))).toEqual(["3", "4"]);
    expect(dataOf(await (await follow(id, {}, `?lastEventId=${json.ids[2]}`)).take(1))).toEqual([
      "4",
    ]);
    const both = await follow(id, seen, `?lastEventId=${json.ids[0]}`);
    expect(dataOf(await both.take(2))).toEqual(["3", "4"]);
  });

  it("resumes a client that was cut before its first event, from the id that opens the stream", async () => {
    const { id } = await make();
    const other = await follow(id);
    const cut = await follow(id);
    await cut.until(/id: /);
    const position = lastEventIdIn(cut.text)!;
    await cut.leave();
    await publish(id, { data: "meanwhile" });
    await other.take(1);
    const back = await follow(id, { "last-event-id": position });
    expect(dataOf(await back.take(1))).toEqual(["meanwhile"]);
  });

  it("replays all that is retained with ?from=earliest", async () => {
    const { id } = await make();
    await publish(id, [{ data: "a" }, { data: "b" }]);
    await (await follow(id)).take(2);
    expect(dataOf(await (await follow(id, {}, "?from=earliest")).take(2))).toEqual(["a", "b"]);
  });

  it("joins a replay of many pages to live events without a gap or a repeat", async () => {
    const { id } = await make();
    const chunk = "x".repeat(50_000);
    for (let n = 0; n < 60; n++)
      await publish(id, { data: `${n} ${chunk}` }).then(({ status }) => expect(status).toBe(202));
    const reader = await follow(id, {}, "?from=earliest");
    const live = (async () => {
      for (let n = 60; n < 80; n++) await publish(id, { data: `${n} ${chunk}` });
    })();
    const frames = await reader.take(80);
    await live;
    expect(frames.map(({ data }) => Number(data.split(" ")[0]))).toEqual(
      Array.from({ length: 80 }, (_, n) => n),
    );
  });

  it("sends a burst larger than a page to a fast reader whole", async () => {
    const { id } = await make();
    const reader = await follow(id);
    const events = Array.from({ length: 40 }, (_, n) => ({ data: `${n} ${"y".repeat(60_000)}` }));
    expect((await publish(id, events)).json.writers).toBe(1);
    expect((await reader.take(40)).map(({ data }) => data.split(" ")[0])).toEqual(
      events.map((_, n) => String(n)),
    );
  });
});

describe("gaps", () => {
  it.each([
    ["malformed", "not an id"],
    ["foreign", "0mwsb9seoysobdq-000000000001-0"],
    ["stream's", "0mwsb9seoysobdq-000000000001-7"],
  ])(
    "says that a %s id is none of its own, then sends all that is retained",
    async (_kind, requested) => {
      const { id } = await make();
      const { json } = await publish(id, [{ data: "a" }, { data: "b" }]);
      const frames = await (await follow(id, { "last-event-id": requested })).take(3);
      expect(frames[0]).toMatchObject({
        event: "gap",
        data: JSON.stringify({ requested, earliest: json.ids[0] }),
      });
      expect(dataOf(frames.slice(1))).toEqual(["a", "b"]);
    },
  );

  it("names no place before it: a client that is cut there gets the gap when it comes back", async () => {
    const { id } = await make();
    await publish(id, { data: "a" });
    const reader = await follow(id, { "last-event-id": "foreign" });
    await reader.take(1);
    expect(reader.text).toMatch(/^(retry: \d+\n){2}event: gap\ndata: .*\nid: \S+\n\n/);
    await reader.leave();
  });

  it("says it of an id from before the session was made again, and of one not yet given", async () => {
    const { id } = await make();
    const old = (await publish(id, { data: "old" })).json.id;
    await call("DELETE", pathOf(id));
    await make({ id });
    const reader = await follow(id, { "last-event-id": old });
    expect((await reader.take(1))[0]).toMatchObject({
      event: "gap",
      data: JSON.stringify({ requested: old, earliest: null }),
    });
    const next = (await publish(id, { data: "new" })).json.id;
    const future = next.replace(/\d{12}/, "000000000099");
    expect(
      (await (await follow(id, { "last-event-id": future })).take(2)).map(
        ({ event, data }) => event ?? data,
      ),
    ).toEqual(["gap", "new"]);
  });

  it("says it of a trimmed id, and keeps exactly the last ten thousand", async () => {
    const { id } = await make({ overflow: "trim" });
    const first = (await publish(id, { data: 0 })).json.id;
    for (let n = 1; n <= 10_100; n += 100)
      await publish(
        id,
        Array.from({ length: 100 }, (_, k) => ({ data: n + k })),
      );
    const frames = await (await follow(id, { "last-event-id": first })).take(10_001);
    expect(frames[0]?.event).toBe("gap");
    expect(frames[1]?.data).toBe("101");
    expect(frames.at(-1)?.data).toBe("10100");
    expect(JSON.parse(frames[0]!.data)).toEqual({ requested: first, earliest: frames[1]!.id });
    // Cut right after the gap, a client is not told of a second one.
    const again = await (await follow(id, { "last-event-id": frames[0]!.id! })).take(1);
    expect(again[0]).toMatchObject({ data: "101" });
  });

  it("keeps the bound by bytes", async () => {
    const { id } = await make({ overflow: "trim" });
    const big = "z".repeat(1_000_000);
    for (let n = 0; n < 8; n++) {
      expect((await publish(id, { data: `${n}${big}` })).status).toBe(202);
    }
    // Nobody had taken the events that are gone.
    const [gap, ...frames] = await (await follow(id, {}, "?from=earliest")).take(5);
    expect(gap?.event).toBe("gap");
    expect(frames.map(({ data }) => data[0])).toEqual(["4", "5", "6", "7"]);
  });
});

describe("the unread part of a stream", () => {
  it("goes to the next reader, and to the one after it as far as nobody is known to have taken it", async () => {
    const { id } = await make();
    await publish(id, [{ data: "a" }, { data: "b" }]);
    const first = await follow(id);
    expect(dataOf(await first.take(2))).toEqual(["a", "b"]);
    // The first takes nothing of this before the second comes.
    await publish(id, { data: "live" });
    const second = await follow(id);
    await publish(id, { data: "both" });
    expect((await readUntil(second, "both")).slice(-2)).toEqual(["live", "both"]);
    expect(dataOf(await first.take(2))).toEqual(["live", "both"]);
  });

  it("is known across evictions, with readers and after them", async () => {
    const { id } = await make();
    const { json } = await publish(id, { data: "unread" });
    await evict(id);
    const reader = await follow(id);
    expect(dataOf(await reader.take(1))).toEqual(["unread"]);
    // The event counts as taken once the reader has lived on for a moment after it.
    const rest = reader.rest().catch(() => []);
    await expect.poll(() => takenBy(id)).toEqual([json.id]);
    await evict(id);
    const next = await follow(id);
    await next.until(/id: /);
    expect(lastEventIdIn(next.text)).toBe(json.id);
    await next.leave();
    await reader.leave();
    await rest;
    await expect.poll(() => socketsOf(id)).toBe(0);
    expect((await storedBy(id)).keys).toContain("channel");
    await evict(id);
    await publish(id, { data: "later" });
    expect(dataOf(await (await follow(id)).take(1))).toEqual(["later"]);
  });

  it("is kept for the next reader where the first was gone before it could have taken it", async () => {
    const { id } = await make();
    await publish(id, [{ data: "a" }, { data: "b" }]);
    for (let n = 0; n < 3; n++) {
      const gone = await request("GET", pathOf(id, "/events"));
      await gone.body?.cancel();
      await expect.poll(() => socketsOf(id)).toBe(0);
    }
    expect(dataOf(await (await follow(id)).take(2))).toEqual(["a", "b"]);
  });

  it("counts as taken by a client that comes back with its id", async () => {
    const { id } = await make();
    const { json } = await publish(id, [{ data: "a" }, { data: "b" }]);
    await (await follow(id)).leave();
    await expect.poll(() => socketsOf(id)).toBe(0);
    await (await follow(id, { "last-event-id": json.ids[1]! })).leave();
    await expect.poll(() => socketsOf(id)).toBe(0);
    await publish(id, { data: "c" });
    expect(dataOf(await (await follow(id)).take(1))).toEqual(["c"]);
  });

  it("refuses what the log cannot hold beside what nobody has read", async () => {
    const { id } = await make();
    const big = "q".repeat(1_000_000);
    for (let n = 0; n < 4; n++) expect((await publish(id, { data: big })).status).toBe(202);
    expect((await call("POST", pathOf(id, "/events"), { data: big })).json["code"]).toBe(
      "message_channel_full",
    );
    expect(await (await follow(id)).take(4)).toHaveLength(4);
  });
});

describe("disconnect", () => {
  it("ends every writer; publishing fails until one attaches", async () => {
    const { id } = await make();
    const readers = [await follow(id), await follow(id)];
    expect((await call("POST", pathOf(id, "/disconnect"))).status).toBe(204);
    for (const reader of readers) expect(await reader.rest()).toEqual([]);
    const refused = await call("POST", pathOf(id, "/events"), { data: 1 });
    expect([refused.status, refused.json["code"]]).toEqual([503, "session_disconnected"]);
    await evict(id);
    expect((await call("POST", pathOf(id, "/events"), { data: 1 })).status).toBe(503);
    expect((await call("POST", pathOf(id, "/disconnect"))).status).toBe(204);
    const back = await follow(id);
    expect((await publish(id, { data: "back" })).status).toBe(202);
    expect(dataOf(await back.take(1))).toEqual(["back"]);
  });
});

describe("endings", () => {
  it("ends a stream with `deleted` as its last frame", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await call("DELETE", pathOf(id));
    expect(await reader.rest()).toEqual([
      { id: undefined, event: "deleted", data: JSON.stringify({ id }) },
    ]);
    expect((await call("GET", pathOf(id, "/events"))).status).toBe(404);
  });

  it("delivers on the same connection after an eviction", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await publish(id, { data: "before" });
    await reader.take(1);
    await evict(id);
    expect((await publish(id, { data: "after" })).json.writers).toBe(1);
    expect(dataOf(await reader.take(1))).toEqual(["after"]);
  });

  it("goes on with its pages after an eviction in mid-replay", async () => {
    const { id } = await make();
    const keep = await follow(id);
    for (let n = 0; n < 30; n++) {
      await publish(id, { data: `${n} ${"p".repeat(60_000)}` });
      await keep.take(1);
    }
    const reader = await follow(id, {}, "?from=earliest");
    const frames = await reader.take(2);
    await evict(id);
    frames.push(...(await reader.take(28)));
    expect(frames.map(({ data }) => Number(data.split(" ")[0]))).toEqual(
      Array.from({ length: 30 }, (_, n) => n),
    );
  });

  it("forgets a writer whose client has left", async () => {
    const { id } = await make();
    const reader = await follow(id);
    expect(await socketsOf(id)).toBe(1);
    await reader.leave();
    await expect.poll(() => socketsOf(id)).toBe(0);
  });

  it("loses nothing when all objects are aborted", async () => {
    const { id } = await make();
    const reader = await follow(id);
    await publish(id, { data: "one" });
    const [seen] = await reader.take(1);
    await abortAllDurableObjects();
    await publish(id, { data: "two" });
    const back = await follow(id, { "last-event-id": seen!.id! });
    expect(dataOf(await back.take(1))).toEqual(["two"]);
  });
});
