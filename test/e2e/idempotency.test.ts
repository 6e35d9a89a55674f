/** Publishing under an `Idempotency-Key`: a publisher that repeats itself is heard once. */
import { expect, it } from "vitest";
import { readUntil } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

interface Answer {
  readonly status: number;
  readonly replayed: string | null;
  readonly json: { readonly id?: string; readonly ids?: readonly string[]; readonly code?: string };
}

/** The service of all tests here but those that kill one. */
const serviceWith = shared((env: Record<string, string>) => Service.start(env));

async function start(env: Record<string, string> = {}, starting = serviceWith(env)) {
  const service = await starting;
  const { id } = await service.make();
  const path = `/v1/sessions/${id}/events`;
  const publish = async (key: string, body: unknown, to = service.url): Promise<Answer> => {
    const response = await fetch(to + path, {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": key },
      body: JSON.stringify(body),
    });
    return {
      status: response.status,
      replayed: response.headers.get("idempotency-replayed"),
      json: (await response.json()) as Answer["json"],
    };
  };
  /** The data of all that is in the log. */
  const logged = async () => {
    await service.publish(id, { data: "last" });
    const reader = new SseReader((await service.fetch(`${path}?from=earliest`)).body!);
    const seen = await readUntil(reader, "last");
    await reader.leave();
    return seen.slice(0, -1);
  };
  return { service, id, path, publish, logged };
}

const replayOf = ({ json }: Answer) => ({ status: 202, replayed: "true", json });

it("the same key again answers with the same ids, and appends nothing", async () => {
  const { publish, logged } = await start();
  const one = await publish("one", { event: "n", data: { a: 1 } });
  expect(one).toMatchObject({ status: 202, replayed: null });
  expect(await publish("one", { event: "n", data: { a: 1 } })).toEqual(replayOf(one));
  const many = await publish("many", [{ data: "a" }, { data: "b" }]);
  expect(await publish("many", [{ data: "a" }, { data: "b" }])).toEqual(replayOf(many));
  expect(await logged()).toEqual(['{"a":1}', "a", "b"]);
});

it("a publisher whose answer was lost repeats itself, and a reader sees the event once", async () => {
  const { service, path, publish } = await start();
  const relay = await Relay.to(service.port);
  const reader = new SseReader((await service.fetch(path)).body!);
  relay.cutAfter = 1;
  await expect(publish("k", { data: "once" }, relay.url)).rejects.toThrow();
  // The event has come, so the answer was on its way.
  expect(await reader.take(1)).toMatchObject([{ data: "once" }]);
  expect(await publish("k", { data: "once" })).toMatchObject({ status: 202, replayed: "true" });
  await publish("other", { data: "last" });
  expect(await readUntil(reader, "last")).toEqual(["last"]);
  await reader.leave();
});

it("eight publishes under one key at the same time are one", async () => {
  const { publish, logged } = await start();
  const answers = await Promise.all(Array.from({ length: 8 }, () => publish("k", { data: "x" })));
  expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 8 }, () => 202));
  expect(new Set(answers.map(({ json }) => json.id)).size).toBe(1);
  expect(answers.filter(({ replayed }) => replayed === "true")).toHaveLength(7);
  expect(await logged()).toEqual(["x"]);
});

it.each([
  ["another event", { data: "b" }],
  ["another name", { event: "n", data: "a" }],
  ["more events", [{ data: "a" }, { data: "a" }]],
])("the same key with %s is refused, and appends nothing", async (_what, other) => {
  const { publish, logged } = await start();
  await publish("k", { data: "a" });
  const refused = await publish("k", other);
  expect([refused.status, refused.json.code]).toEqual([422, "idempotency_key_reused"]);
  expect(await publish("k", { data: "a" })).toMatchObject({ status: 202, replayed: "true" });
  expect(await logged()).toEqual(["a"]);
});

it("a key belongs to its session", async () => {
  const { service, publish } = await start();
  await publish("k", { data: "a" });
  const other = await service.make();
  const answer = await service.fetch(`/v1/sessions/${other.id}/events`, {
    method: "POST",
    headers: { "content-type": "application/json", "idempotency-key": "k" },
    body: JSON.stringify({ data: "b" }),
  });
  expect([answer.status, answer.headers.get("idempotency-replayed")]).toEqual([202, null]);
});

it("a key is known after a crash, and after its reader has gone", async () => {
  const { service, publish, logged } = await start({}, Service.start());
  const first = await publish("k", { data: "a" });
  await service.kill();
  await service.restart();
  expect(await publish("k", { data: "a" })).toEqual(replayOf(first));
  expect(await logged()).toEqual(["a"]);
});

it("a key is forgotten with its events, and not before", async () => {
  const { service, id, path, publish } = await start({ LOG_MAX_EVENTS: "8" });
  const reader = new SseReader((await service.fetch(path)).body!);
  const first = await publish("k", [{ data: "a" }, { data: "b" }]);
  await reader.take(2);
  // Refused while the log is full of what the reader is not known to have taken.
  const publishMore = async (data: unknown) => {
    await expect.poll(async () => (await service.publish(id, { data })).status).toBe(202);
    await reader.take(1);
  };
  for (let n = 0; n < 7; n++) await publishMore(n);
  // The first of its two events is trimmed, the second is the oldest that is retained.
  expect(await publish("k", [{ data: "a" }, { data: "b" }])).toEqual(replayOf(first));
  await publishMore("trims it");
  let again = first;
  await expect
    .poll(async () => {
      again = await publish("k", [{ data: "a" }, { data: "b" }]);
      return again.status;
    })
    .toBe(202);
  expect(again.replayed).toBeNull();
  expect(again.json.ids).not.toEqual(first.json.ids);
  await reader.leave();
});

it("a refused publish does not use its key up", async () => {
  const { service, id, publish } = await start({ QUEUE_CAPACITY: "1" });
  await service.publish(id, { data: "fills it" });
  expect((await publish("k", { data: "a" })).status).toBe(503);
  const reader = new SseReader((await service.fetch(`/v1/sessions/${id}/events`)).body!);
  await reader.take(1);
  let accepted: Answer | undefined;
  await expect
    .poll(async () => {
      accepted = await publish("k", { data: "a" });
      return accepted.status;
    })
    .toBe(202);
  expect(accepted?.replayed).toBeNull();
  expect(await publish("k", { data: "a" })).toMatchObject({ status: 202, replayed: "true" });
  await reader.leave();
});

it.each([
  ["empty", ""],
  ["a space", "a b"],
  ["a letter beyond ASCII", "clé"],
  ["256 characters", "k".repeat(256)],
])("a key of %s is refused by name, and appends nothing", async (_what, key) => {
  const { publish, logged } = await start();
  const refused = await publish(key, { data: "a" });
  expect(refused).toMatchObject({
    status: 400,
    json: {
      code: "invalid_request",
      detail: expect.stringMatching(/^Idempotency-Key: /) as string,
    },
  });
  expect(await logged()).toEqual([]);
});

it.each(["!", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "~".repeat(255)])(
  "takes the key %s",
  async (key) => {
    const { publish } = await start();
    await publish(key, { data: "a" });
    expect(await publish(key, { data: "a" })).toMatchObject({ status: 202, replayed: "true" });
  },
);
