/** Streams over real HTTP, with the client that browsers' EventSource is the model of. */
import { EventSource } from "eventsource";
import { expect, it, onTestFinished } from "vitest";
import { Relay } from "../support/relay.ts";
import { Service } from "../support/service.ts";

/** An EventSource that remembers what it saw. */
function follow(url: string): {
  readonly source: EventSource;
  readonly seen: string[];
  saw(count: number): Promise<string[]>;
} {
  const source = new EventSource(url);
  onTestFinished(() => source.close());
  const seen: string[] = [];
  const waiting = new Set<() => void>();
  source.addEventListener("message", ({ data }) => {
    seen.push(String(data));
    for (const look of waiting) look();
  });
  const saw = (count: number) =>
    new Promise<string[]>((resolve) => {
      const look = () => {
        if (seen.length >= count) resolve(seen);
      };
      waiting.add(look);
      look();
    });
  return { source, seen, saw };
}

const numbers = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, n) => String(from + n));
const opened = (source: EventSource) =>
  new Promise<void>((resolve) => source.addEventListener("open", () => resolve(), { once: true }));

it("EventSource subscribes, and publishing reaches two of it in order", async () => {
  const service = await Service.start();
  const { id } = await service.make();
  const clients = [
    follow(`${service.url}/v1/sessions/${id}/events`),
    follow(`${service.url}/v1/sessions/${id}/events`),
  ];
  await Promise.all(clients.map(({ source }) => opened(source)));
  for (const n of numbers(0, 50))
    expect((await service.publish(id, { data: n })).json.writers).toBe(2);
  for (const client of clients) expect(await client.saw(50)).toEqual(numbers(0, 50));
});

it("EventSource is cut, comes back with Last-Event-ID by itself, and misses nothing", async () => {
  const service = await Service.start();
  const relay = await Relay.to(service.port);
  const { id } = await service.make();
  const client = follow(`${relay.url}/v1/sessions/${id}/events`);
  await opened(client.source);
  await service.publish(
    id,
    numbers(0, 10).map((data) => ({ data })),
  );
  await client.saw(10);
  const reopened = opened(client.source);
  relay.cut();
  await service.publish(
    id,
    numbers(10, 20).map((data) => ({ data })),
  );
  await reopened;
  await service.publish(
    id,
    numbers(20, 30).map((data) => ({ data })),
  );
  expect(await client.saw(30)).toEqual(numbers(0, 30));
  expect(relay.connections).toBe(2);
});

it("two hundred clients come back by themselves from a crash of everything, and miss nothing", async () => {
  const service = await Service.start();
  const sessions = await Promise.all(Array.from({ length: 20 }, () => service.make()));
  const clients = sessions.flatMap(({ id }) =>
    Array.from({ length: 10 }, () => follow(`${service.url}/v1/sessions/${id}/events`)),
  );
  await Promise.all(clients.map(({ source }) => opened(source)));
  await Promise.all(sessions.map(({ id }) => service.publish(id, { data: "0" })));
  await Promise.all(clients.map(({ saw }) => saw(1)));
  const reopened = Promise.all(clients.map(({ source }) => opened(source)));
  await service.kill();
  await service.restart();
  await Promise.all(sessions.map(({ id }) => service.publish(id, [{ data: "1" }, { data: "2" }])));
  await reopened;
  for (const { id } of sessions) await service.publish(id, { data: "3" });
  for (const client of clients) expect(await client.saw(4)).toEqual(["0", "1", "2", "3"]);
});

it("a session that ends ends its stream, and EventSource is refused when it comes back", async () => {
  const service = await Service.start();
  const { id, createdAt } = await service.make({ ttlSeconds: 3600 });
  const { source } = follow(`${service.url}/v1/sessions/${id}/events`);
  const expired = new Promise<string>((resolve) =>
    source.addEventListener("expired", ({ data }) => resolve(String(data))),
  );
  const refused = new Promise<number | undefined>((resolve) =>
    source.addEventListener("error", ({ code }) => {
      if (code !== undefined) resolve(code);
    }),
  );
  await opened(source);
  // Bounded only now: else a slow client would come to a session that has ended already.
  const age = (Date.now() - Date.parse(createdAt)) / 1000;
  const body = { ttlSeconds: 3600, maxLifetimeSeconds: age + 0.5 };
  expect((await service.send("PUT", `/v1/sessions/${id}`, body)).status).toBe(200);
  expect(JSON.parse(await expired)).toEqual({ id });
  expect(await refused).toBe(404);
});
