/** A stream that is complete: readers of every kind, and publishers, learn of its end. */
import { EventSource } from "eventsource";
import { expect, it, onTestFinished } from "vitest";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

interface Ended {
  readonly id: string;
  readonly code?: string;
}

/** The service of all tests here but those that kill one. */
const serviceWith = shared((env: Record<string, string>) => Service.start(env));

async function start(env: Record<string, string> = {}, starting = serviceWith(env)) {
  const service = await starting;
  const { id } = await service.make();
  const path = `/v1/sessions/${id}`;
  const end = (body?: unknown) => service.send<Ended>("POST", `${path}/end`, body);
  const follow = async (headers: Record<string, string> = {}, query = "") =>
    new SseReader((await service.fetch(`${path}/events${query}`, { headers })).body!);
  const session = async () =>
    (await service.send<Record<string, unknown>>("GET", `${path}?touch=false`)).json;
  return { service, id, path, end, follow, session };
}

it("readers get what is left, then `ended`, then the stream closes", async () => {
  const { service, id, end, follow, session } = await start();
  const readers = [await follow(), await follow()];
  await service.publish(id, [{ data: "a" }, { data: "b" }]);
  const ended = await end();
  expect([ended.status, Object.keys(ended.json)]).toEqual([202, ["id"]]);
  for (const reader of readers) {
    const frames = await reader.rest();
    expect(frames.map(({ event, data }) => event ?? data)).toEqual(["a", "b", "ended"]);
    expect(frames.at(-1)).toMatchObject({ id: ended.json.id, data: JSON.stringify({ id }) });
  }
  expect(await session()).toMatchObject({ ended: true, lastEventId: ended.json.id, writers: 0 });
});

it("takes a last event, which comes before `ended`", async () => {
  const { end, follow } = await start();
  const reader = await follow();
  const ended = await end({ event: "usage", data: { tokens: 3 } });
  expect(ended.status).toBe(202);
  expect(await reader.rest()).toEqual([
    { id: expect.any(String) as string, event: "usage", data: '{"tokens":3}' },
    { id: ended.json.id, event: "ended", data: expect.any(String) as string },
  ]);
});

it("a reader that comes later gets the events it missed, then the end; a reader that has seen the end gets 204", async () => {
  const { service, id, path, end, follow } = await start({}, Service.start());
  const { json } = await service.publish(id, [{ data: "a" }, { data: "b" }, { data: "c" }]);
  const ended = await end();
  expect(ended.status).toBe(202);
  const names = async (reader: SseReader) =>
    (await reader.rest()).map(({ event, data }) => event ?? data);
  expect(await names(await follow())).toEqual(["a", "b", "c", "ended"]);
  expect(await names(await follow({ "last-event-id": json.ids[1]! }))).toEqual(["c", "ended"]);
  expect(await names(await follow({ "last-event-id": json.ids[2]! }))).toEqual(["ended"]);
  expect(await names(await follow({}, "?from=earliest"))).toEqual(["a", "b", "c", "ended"]);
  await service.kill();
  await service.restart();
  expect(await names(await follow({}, "?from=earliest"))).toEqual(["a", "b", "c", "ended"]);
  for (const seen of [
    service.fetch(`${path}/events`, { headers: { "last-event-id": ended.json.id } }),
    service.fetch(`${path}/events?lastEventId=${ended.json.id}`),
  ]) {
    const response = await seen;
    expect([response.status, await response.text()]).toEqual([204, ""]);
  }
});

it("an EventSource that got the end comes back once, and stops", async () => {
  const { service, id, path, end } = await start();
  const source = new EventSource(`${service.url}${path}/events`);
  onTestFinished(() => source.close());
  const seen: string[] = [];
  source.addEventListener("message", ({ data }) => seen.push(String(data)));
  const ended = new Promise<string>((resolve) =>
    source.addEventListener("ended", ({ data }) => resolve(String(data))),
  );
  let errors = 0;
  const stopped = new Promise<number | undefined>((resolve) =>
    source.addEventListener("error", ({ code }) => {
      errors++;
      if (source.readyState === source.CLOSED) resolve(code);
    }),
  );
  await new Promise((resolve) => source.addEventListener("open", resolve, { once: true }));
  await service.publish(id, { data: "a" });
  expect((await end()).status).toBe(202);
  expect(JSON.parse(await ended)).toEqual({ id });
  expect(await stopped).toBe(204);
  expect(seen).toEqual(["a"]);
  // One as the stream closed, and one that is final: it came back once.
  expect(errors).toBe(2);
});

it("publishing afterwards is refused, PUT does not reopen it, and to end it again changes nothing", async () => {
  const { service, id, path, end, session } = await start();
  const ended = await end({ data: "z" });
  expect(ended.status).toBe(202);
  for (const body of [{ data: "late" }, [{ data: "late" }]]) {
    const { status, json } = await service.send<Ended>("POST", `${path}/events`, body);
    expect([status, json.code]).toEqual([409, "stream_ended"]);
  }
  expect((await service.send("PUT", path, { metadata: { a: "b" } })).status).toBe(200);
  expect(await session()).toMatchObject({ ended: true, metadata: { a: "b" } });
  expect((await service.publish(id, { data: "late" })).status).toBe(409);
  expect(await end()).toEqual({ status: 202, json: { id: ended.json.id } });
  expect(await end({ data: "another" })).toEqual({ status: 202, json: { id: ended.json.id } });
  expect((await session())["lastEventId"]).toBe(ended.json.id);
});

it("a session made anew under the id is open", async () => {
  const { service, id, path, end, session } = await start();
  const ended = await end();
  expect(ended.status).toBe(202);
  await service.send("DELETE", path);
  await service.make({ id });
  expect(await session()).not.toMatchObject({ ended: true });
  expect((await service.publish(id, { data: "a" })).status).toBe(202);
  const reader = new SseReader(
    (await service.fetch(`${path}/events`, { headers: { "last-event-id": ended.json.id } })).body!,
  );
  expect((await reader.take(2)).map(({ event, data }) => event ?? data)).toEqual(["gap", "a"]);
  await reader.leave();
});

it("a reader that is many pages behind gets them all before the end", async () => {
  const { service, id, end, follow } = await start();
  const chunk = "x".repeat(60_000);
  for (let n = 0; n < 50; n++) await service.publish(id, { data: `${n} ${chunk}` });
  const reader = await follow({}, "?from=earliest");
  expect((await end()).status).toBe(202);
  const frames = await reader.rest();
  expect(frames.map(({ event, data }) => event ?? data.split(" ")[0])).toEqual([
    ...Array.from({ length: 50 }, (_, n) => String(n)),
    "ended",
  ]);
});

it("a queue that is full does not keep a stream from being ended", async () => {
  const { service, id, end, follow } = await start({ QUEUE_CAPACITY: "2" });
  await service.publish(id, [{ data: "a" }, { data: "b" }]);
  const full = await service.send<Ended>("POST", `/v1/sessions/${id}/end`, { data: "c" });
  expect([full.status, full.json.code]).toEqual([503, "message_channel_full"]);
  expect((await end()).status).toBe(202);
  expect((await (await follow()).rest()).map(({ event, data }) => event ?? data)).toEqual([
    "a",
    "b",
    "ended",
  ]);
});

it.each([
  ["an array", [{ data: "a" }]],
  ["a reserved name", { event: "ended", data: 1 }],
  ["a name alone", { event: "n" }],
  ["an unknown member", { data: 1, more: 2 }],
])("refuses %s as the last event, and ends nothing", async (_what, body) => {
  const { service, id, end, session } = await start();
  const { status, json } = await end(body);
  expect([status, json.code]).toEqual([400, "invalid_request"]);
  expect(await session()).not.toMatchObject({ ended: true });
  expect((await service.publish(id, { data: "a" })).status).toBe(202);
});

it("an unknown session cannot be ended", async () => {
  const { service } = await start();
  const path = `/v1/sessions/${crypto.randomUUID()}/end`;
  const { status, json } = await service.send<Ended>("POST", path);
  expect([status, json.code]).toEqual([404, "session_not_found"]);
});
