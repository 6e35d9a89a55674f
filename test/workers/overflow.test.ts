/** How much may wait unread, and what becomes of more: refused, or the oldest of it trimmed and said so. */
import { describe, expect, it } from "vitest";
import type { EventPage, PublishedMany } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { evict } from "../support/object.ts";
import { readUntil } from "../support/read-until.ts";
import { SseReader } from "../support/sse-reader.ts";

/** The default of LOG_MAX_EVENTS, and of QUEUE_CAPACITY with it. */
const RETAINED = 10_000;
const BATCH = 100;

async function follow(id: string, headers: Record<string, string> = {}, query = "") {
  const { body } = await request("GET", pathOf(id, `/events${query}`), undefined, headers);
  if (!body) throw new Error("a stream has a body");
  return new SseReader(body);
}

async function readPage(id: string, query: string): Promise<EventPage> {
  const accept = { accept: "application/json" };
  return (await call<EventPage>("GET", pathOf(id, `/events${query}`), undefined, accept)).json;
}

function publish(id: string, ...data: unknown[]) {
  return call<PublishedMany & { readonly code?: string }>(
    "POST",
    pathOf(id, "/events"),
    data.map((each) => ({ data: each })),
  );
}

/** Publishes so many numbered events, from a number on. Answers the ids of the first batch. */
async function fill(id: string, from: number, to: number): Promise<readonly string[]> {
  let first: readonly string[] = [];
  for (let n = from; n < to; n += BATCH) {
    const { status, json } = await publish(
      id,
      ...Array.from({ length: Math.min(BATCH, to - n) }, (_, k) => n + k),
    );
    expect(status).toBe(202);
    if (n === from) first = json.ids;
  }
  return first;
}

describe("overflow: refuse, the default", () => {
  it("takes as much as the log retains, refuses more, and drops none of it", async () => {
    const { id } = await make();
    await fill(id, 0, RETAINED);
    const refused = await publish(id, "more");
    expect([refused.status, refused.json.code]).toEqual([503, "message_channel_full"]);
    expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
    await evict(id);
    expect((await publish(id, "more")).status).toBe(503);
    const reader = await follow(id);
    const seen = await readUntil(reader, String(RETAINED - 1));
    expect([seen.length, seen[0]]).toEqual([RETAINED, "0"]);
    // There is room again once the reader, which reads on, is known to have taken it.
    const more = readUntil(reader, "more");
    await expect.poll(async () => (await publish(id, "more")).status).toBe(202);
    expect(await more).toEqual(["more"]);
    await reader.leave();
  });

  it("drops nothing unread under a reader that is attached and takes nothing", async () => {
    const { id } = await make();
    const stalled = await request("GET", pathOf(id, "/events"));
    let accepted = 0;
    let status = 202;
    for (; status === 202 && accepted <= 2 * RETAINED; accepted += status === 202 ? BATCH : 0) {
      ({ status } = await publish(id, ...Array.from({ length: BATCH }, (_, k) => accepted + k)));
    }
    expect([status, accepted]).toEqual([503, RETAINED]);
    await stalled.body?.cancel();
    const reader = await follow(id);
    expect((await readUntil(reader, String(RETAINED - 1)))[0]).toBe("0");
    await reader.leave();
  });
});

it("a reader that keeps up lets publishing go on, however fast", async () => {
  const { id } = await make();
  const reader = await follow(id);
  // Several logs full, each batch a quarter of one, faster than a bridge reports by itself.
  const chunk = "x".repeat(100_000);
  for (let n = 0; n < 20; n++) {
    const sent = await publish(id, ...Array.from({ length: 10 }, () => chunk), n);
    expect([n, sent.status]).toEqual([n, 202]);
    expect(await readUntil(reader, String(n))).toHaveLength(11);
  }
  await reader.leave();
});

describe("overflow: trim", () => {
  it("never stops publishing, and a reader without an id gets a gap for the events that it missed", async () => {
    const { id } = await make({ overflow: "trim" });
    await fill(id, 0, RETAINED + 250);
    await evict(id);
    const page = await readPage(id, "?limit=1");
    const reader = await follow(id);
    const [gap, first] = await reader.take(2);
    expect([gap?.event, first?.data]).toEqual(["gap", "250"]);
    const missed = { requested: null, earliest: first!.id };
    expect(JSON.parse(gap!.data)).toEqual(missed);
    // A page says the same, but for one that goes on after another.
    expect([page.events[0]?.data, page.gap]).toEqual(["250", missed]);
    expect((await readPage(id, `?after=${page.lastEventId}`)).gap).toBeUndefined();
    await reader.leave();
  });

  it("a reader with an id gets a gap that names its id", async () => {
    const { id } = await make({ overflow: "trim" });
    const [requested] = await fill(id, 0, RETAINED + 100);
    const reader = await follow(id, { "last-event-id": requested! });
    const [gap, first] = await reader.take(2);
    expect([gap?.event, first?.data]).toEqual(["gap", "100"]);
    expect(JSON.parse(gap!.data)).toEqual({ requested, earliest: first!.id });
    await reader.leave();
  });

  it("says no gap to a reader for whom nothing was trimmed unread", async () => {
    const { id } = await make({ overflow: "trim" });
    await publish(id, "a", "b");
    const reader = await follow(id);
    expect(await readUntil(reader, "b")).toEqual(["a", "b"]);
    await reader.leave();
  });
});

describe("the session's `overflow`", () => {
  const stored = async (id: string) =>
    (await call<{ overflow?: string }>("GET", pathOf(id))).json.overflow;

  it("is set on create, put and patch", async () => {
    expect(await stored((await make()).id)).toBe("refuse");
    const { id } = await make({ overflow: "trim" });
    expect(await stored(id)).toBe("trim");
    await call("PATCH", pathOf(id), { overflow: "refuse" });
    expect(await stored(id)).toBe("refuse");
    await call("PUT", pathOf(id), { overflow: "trim" });
    await call("PATCH", pathOf(id), { metadata: { a: "b" } });
    expect(await stored(id)).toBe("trim");
    // A session's content is replaced whole; null removes a member (RFC 7396).
    await call("PUT", pathOf(id), {});
    expect(await stored(id)).toBe("refuse");
    await call("PATCH", pathOf(id), { overflow: "trim" });
    await call("PATCH", pathOf(id), { overflow: null });
    expect(await stored(id)).toBe("refuse");
  });

  it.each(["drop", "", 1, true])("is refused by name where it is %j", async (overflow) => {
    const { id } = await make();
    for (const [method, path] of [
      ["POST", "/v1/sessions"],
      ["PUT", pathOf(id)],
      ["PATCH", pathOf(id)],
    ] as const) {
      const { status, json } = await call(method, path, { overflow });
      expect([method, status, json["code"]]).toEqual([method, 400, "invalid_request"]);
      expect(json["detail"]).toMatch(/^overflow: /);
    }
  });
});
