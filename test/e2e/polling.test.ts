/** A log that is read as JSON: by scripts, servers and tests, which need not speak SSE. */
import { expect, it } from "vitest";
import type { EventPage } from "../../src/core/api.ts";
import { numbers, readUntil } from "../support/read-until.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

/** A page, or the problem that refuses it. */
type Page = EventPage & { readonly code?: string; readonly detail?: string };

const serviceWith = shared((env: Record<string, string>) => Service.start(env));

async function start(env: Record<string, string> = {}, body: object = {}) {
  const service = await serviceWith(env);
  const { id } = await service.make(body);
  const path = `/v1/sessions/${id}/events`;
  const read = async (query = "", headers: Record<string, string> = {}) => {
    const response = await service.fetch(path + query, {
      headers: { accept: "application/json", ...headers },
    });
    const type = response.headers.get("content-type") ?? "";
    if (!type.includes("json")) {
      await response.body?.cancel();
      throw new Error(`answered ${response.status} as ${type}`);
    }
    return { status: response.status, type, json: (await response.json()) as Page };
  };
  const publish = async (...data: string[]) => {
    const { json } = await service.publish(
      id,
      data.map((each) => ({ data: each })),
    );
    return json.ids;
  };
  return { service, id, path, read, publish };
}

const dataOf = ({ events }: Page) => events.map(({ data }) => data);

it("gives what is in the log, from the earliest on", async () => {
  const { service, id, read } = await start();
  const { json } = await service.publish(id, [
    { event: "greet", data: { a: [1] } },
    { data: "two\nlines" },
  ]);
  const page = await read();
  expect([page.status, page.type]).toEqual([200, "application/json"]);
  expect(page.json).toEqual({
    events: [
      { id: json.ids[0], event: "greet", data: '{"a":[1]}' },
      { id: json.ids[1], data: "two\nlines" },
    ],
    lastEventId: json.ids[1],
    ended: false,
  });
});

it("keeps the line breaks of data, which a stream turns into line feeds", async () => {
  const { service, path, read, publish } = await start();
  const data = "one\r\ntwo\rthree\n";
  await publish(data);
  expect(dataOf((await read()).json)).toEqual([data]);
  const reader = new SseReader((await service.fetch(path)).body!);
  expect((await reader.take(1)).map((frame) => frame.data)).toEqual(["one\ntwo\nthree\n"]);
  await reader.leave();
});

it("goes on after `after`, or Last-Event-ID, page by page", async () => {
  const { read, publish } = await start();
  const ids = await publish(...numbers(0, 5));
  expect(dataOf((await read(`?after=${ids[2]}`)).json)).toEqual(["3", "4"]);
  expect(dataOf((await read("", { "last-event-id": ids[3]! })).json)).toEqual(["4"]);
  const first = (await read("?limit=2")).json;
  expect([dataOf(first), first.lastEventId]).toEqual([["0", "1"], ids[1]]);
  const seen = dataOf(first).slice();
  for (let page = first; page.events.length > 0;) {
    page = (await read(`?limit=2&after=${page.lastEventId}`)).json;
    seen.push(...dataOf(page));
  }
  expect(seen).toEqual(numbers(0, 5));
});

it("gives a hundred where no limit is named, and a thousand at most", async () => {
  const { read, publish } = await start({ QUEUE_CAPACITY: "2000", LOG_MAX_EVENTS: "2000" });
  for (let n = 0; n < 1100; n += 100) await publish(...numbers(n, n + 100));
  expect(dataOf((await read()).json)).toEqual(numbers(0, 100));
  expect(dataOf((await read("?limit=1000")).json)).toEqual(numbers(0, 1000));
});

it("says that the log no longer has a place, and gives all that it retains", async () => {
  const { read, publish } = await start();
  const ids = await publish("a", "b");
  const foreign = `${"0".repeat(15)}-000000000001-0`;
  const { json } = await read(`?after=${foreign}`);
  expect(json.gap).toEqual({ requested: foreign, earliest: ids[0] });
  expect(dataOf(json)).toEqual(["a", "b"]);
});

it("waits for an event, and answers as soon as there is one", async () => {
  const { service, id, read, publish } = await start();
  const [a] = await publish("a");
  const waiting = read(`?after=${a}&wait=30`);
  // The read waits by now, as a rule; if it does not yet, it finds the event at once.
  await service.send("GET", `/v1/sessions/${id}`);
  const began = performance.now();
  const [b] = await publish("b");
  const { json } = await waiting;
  expect([dataOf(json), json.lastEventId]).toEqual([["b"], b]);
  // Less than the wait that it did without.
  expect(performance.now() - began).toBeLessThan(30_000);
});

it("answers with nothing once the time is up", async () => {
  const { read, publish } = await start();
  const [a] = await publish("a");
  const { json } = await read(`?after=${a}&wait=0.1`);
  expect(json).toEqual({ events: [], lastEventId: a, ended: false });
});

it("does not wait where there is an event already, or where none can come", async () => {
  const { service, path, read, publish } = await start();
  const began = performance.now();
  const [a] = await publish("a");
  expect(dataOf((await read("?wait=30")).json)).toEqual(["a"]);
  expect((await service.send("POST", path.replace("/events", "/end"))).status).toBe(202);
  expect((await read(`?after=${a}&wait=30`)).json).toMatchObject({ events: [], ended: true });
  // Less than the wait that it did without.
  expect(performance.now() - began).toBeLessThan(30_000);
});

it("a request that waits is answered when the stream ends, and when the session does", async () => {
  const { service, id, path, read, publish } = await start();
  const [a] = await publish("a");
  const waiting = read(`?after=${a}&wait=30`);
  await service.send("GET", `/v1/sessions/${id}`);
  await service.send("POST", path.replace("/events", "/end"));
  expect((await waiting).json).toMatchObject({ events: [], ended: true });
  const other = await service.make();
  const gone = service.fetch(`/v1/sessions/${other.id}/events?wait=30`, {
    headers: { accept: "application/json" },
  });
  await service.send("GET", `/v1/sessions/${other.id}`);
  await service.send("DELETE", `/v1/sessions/${other.id}`);
  expect((await gone).status).toBe(404);
});

it("`ended` is said on the page that nothing follows, and the end is no event of the log's", async () => {
  const { service, path, read, publish } = await start();
  const ids = await publish("a", "b");
  const ended = await service.send<{ id: string }>("POST", path.replace("/events", "/end"));
  expect((await read("?limit=1")).json).toMatchObject({ lastEventId: ids[0], ended: false });
  const { json } = await read();
  expect([dataOf(json), json.ended]).toEqual([["a", "b"], true]);
  const after = await service.fetch(path, { headers: { "last-event-id": json.lastEventId } });
  expect([json.lastEventId, after.status]).toEqual([ended.json.id, 204]);
});

it("never counts as reading the queue", async () => {
  const { service, path, read, publish } = await start({ QUEUE_CAPACITY: "3" });
  const ids = await publish("a", "b", "c");
  expect(dataOf((await read()).json)).toEqual(["a", "b", "c"]);
  await read("", { "last-event-id": ids[2]! });
  const full = await service.send("POST", path, { data: "d" });
  expect(full.status).toBe(503);
  const reader = new SseReader((await service.fetch(path)).body!);
  expect(await readUntil(reader, "c")).toEqual(["a", "b", "c"]);
  await reader.leave();
});

it.each([
  ["limit", ["0", "1001", "1.5", "x", ""]],
  ["wait", ["-1", "31", "x", ""]],
  ["after", ["x", "0-0-0"]],
] as const)("refuses a bad %s by name", async (name, values) => {
  const { read } = await start();
  for (const value of values) {
    const { status, json } = await read(`?${name}=${value}`);
    expect([value, status, json.code]).toEqual([value, 400, "invalid_request"]);
    expect(json.detail).toMatch(new RegExp(`^${name}: `));
  }
});

it.each(["text/event-stream", "*/*", "text/event-stream, application/json;q=0.5"])(
  "a request that accepts %s gets the stream",
  async (accept) => {
    const { service, path } = await start();
    const response = await service.fetch(path, { headers: { accept } });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    expect(response.headers.get("vary") ?? "").toMatch(/\baccept\b/i);
    await response.body?.cancel();
  },
);
