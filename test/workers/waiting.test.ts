/** Requests that wait for an event: they hold a socket, and events, ends and time-outs end the wait. */
import { env } from "cloudflare:workers";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { requireSessionId } from "../../src/core/id.ts";
import { sessionsIn, type ObjectNamespace } from "../../src/entries/durable-object.ts";
import { MIN_WAIT_MS } from "../../src/core/limits.ts";
import type { EventPage, Session } from "../../src/core/api.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { countWrites, evict, socketsOf } from "../support/object.ts";

/** A page, or the problem that refuses it. */
type Page = EventPage & { readonly code?: string };

const MAX_WAITERS = 32;

const sessions = sessionsIn((env as unknown as { SESSIONS: ObjectNamespace }).SESSIONS);

beforeEach(() => void vi.useFakeTimers({ toFake: ["Date"] }));
afterEach(() => void vi.useRealTimers());

/** Sends a request that waits, and returns once it does. */
async function wait(id: string) {
  const before = await socketsOf(id);
  const answer = call<Page>("GET", pathOf(id, "/events?wait=30"), undefined, {
    accept: "application/json",
  });
  await expect.poll(() => socketsOf(id), { interval: 5 }).toBe(before + 1);
  return { answer };
}

const publish = (id: string, data: string) => call("POST", pathOf(id, "/events"), { data });
const dataOf = ({ json }: { readonly json: Page }) => json.events.map(({ data }) => data);

it("is answered by an event, also where the object was out of memory meanwhile", async () => {
  const { id } = await make();
  const [one, other] = [await wait(id), await wait(id)];
  await evict(id);
  await publish(id, "a");
  expect(dataOf(await one.answer)).toEqual(["a"]);
  expect(dataOf(await other.answer)).toEqual(["a"]);
  await expect.poll(() => socketsOf(id)).toBe(0);
});

it("does not wait for an event that came after the request looked", async () => {
  const { id } = await make();
  const { json } = await call<{ id: string }>("POST", pathOf(id, "/events"), { data: "seen" });
  await publish(id, "came since");
  const began = performance.now();
  await sessions.awaitEvents(requireSessionId(id), json.id, 30_000);
  // Less than the wait that it did without.
  expect(performance.now() - began).toBeLessThan(30_000);
});

it("a read of events extends the session's life, unless it says touch=false", async () => {
  const { id } = await make();
  await publish(id, "a");
  const deadline = async () =>
    Date.parse((await call<Session>("GET", pathOf(id, "?touch=false"))).json.expiresAt);
  const read = (query: string) =>
    call<Page>("GET", pathOf(id, `/events${query}`), undefined, { accept: "application/json" });
  const before = await deadline();
  vi.setSystemTime(Date.now() + 1000);
  expect(dataOf(await read("?touch=false"))).toEqual(["a"]);
  expect(await deadline()).toBe(before);
  expect((await read("?touch=no")).status).toBe(400);
  expect(dataOf(await read(""))).toEqual(["a"]);
  expect(await deadline()).toBe(before + 1000);
});

it("is no writer, and no reader of the queue", async () => {
  const { id } = await make();
  const { answer } = await wait(id);
  const { json } = await call<Session>("GET", pathOf(id));
  expect([json.writers, json.connected]).toEqual([0, false]);
  expect((await publish(id, "a")).json).toMatchObject({ writers: 0 });
  await answer;
});

it("writes no row, whether it comes, is answered or leaves", async () => {
  const { id } = await make();
  await publish(id, "the first makes the table");
  const headers = { accept: "application/json" };
  const first = await call<{ lastEventId: string }>(
    "GET",
    pathOf(id, "/events"),
    undefined,
    headers,
  );
  const { lastEventId: after } = first.json;
  const writes = await countWrites(id);
  await call("GET", pathOf(id, `/events?wait=0.02&after=${after}`), undefined, headers);
  await expect.poll(() => socketsOf(id)).toBe(0);
  expect([writes.rows, writes.alarms]).toEqual([0, 0]);
});

it("holds the session open while it waits", async () => {
  const { id } = await make({ ttlSeconds: 100 });
  const { answer } = await wait(id);
  vi.setSystemTime(Date.now() + 150_000);
  expect((await call("GET", pathOf(id, "?touch=false"))).status).toBe(200);
  await publish(id, "a");
  expect(dataOf(await answer)).toEqual(["a"]);
  await expect.poll(() => socketsOf(id)).toBe(0);
  vi.setSystemTime(Date.now() + 101_000);
  expect((await call("GET", pathOf(id, "?touch=false"))).status).toBe(404);
});

it.each([
  ["the session's readers are disconnected", "POST", "/disconnect", undefined],
  ["the session becomes another subject's", "PUT", "", { subject: "another" }],
])("is answered when %s: it asks anew who it is", async (_when, method, path, body) => {
  const { id } = await make();
  const { answer } = await wait(id);
  await call(method, pathOf(id, path), body);
  expect((await answer).json).toMatchObject({ events: [] });
});

describe("where as many wait as may", () => {
  it("another is refused at first, then the oldest gives way", async () => {
    const { id } = await make();
    const began = Date.now();
    const oldest = await wait(id);
    const others: (typeof oldest)[] = [];
    vi.setSystemTime(began + 1);
    while (others.length < MAX_WAITERS - 1) others.push(await wait(id));
    const waitOnce = () =>
      call<Page>("GET", pathOf(id, "/events?wait=30"), undefined, { accept: "application/json" });
    const refused = await waitOnce();
    expect([refused.status, refused.json.code]).toEqual([429, "too_many_writers"]);
    vi.setSystemTime(began + MIN_WAIT_MS);
    const late = waitOnce();
    expect(dataOf(await oldest.answer)).toEqual([]);
    // The next oldest has not waited for long enough.
    expect((await waitOnce()).status).toBe(429);
    await publish(id, "a");
    for (const { answer } of others) expect(dataOf(await answer)).toEqual(["a"]);
    expect(dataOf(await late)).toEqual(["a"]);
  });

  it("readers have their places still", async () => {
    const { id } = await make();
    const waiting = [];
    while (waiting.length < MAX_WAITERS) waiting.push(await wait(id));
    const stream = await request("GET", pathOf(id, "/events"));
    expect(stream.status).toBe(200);
    await stream.body?.cancel();
    await publish(id, "a");
    for (const { answer } of waiting) await answer;
  });
});
