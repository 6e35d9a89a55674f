/**
 * Readers that keep no id, as a page that reloads: each starts at the first event that no
 * reader is known to have taken. An orderly close tells a server nothing before it writes.
 */
import { once } from "node:events";
import { connect } from "node:net";
import { expect, it } from "vitest";
import { numbers, readUntil, startOf } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

/** No keep-alive comes to the help of a test. */
const QUIET = { KEEPALIVE_SECONDS: "60" };

const newService = (env: Record<string, string>) =>
  Service.start({ ...QUIET, LOG_LEVEL: "debug", ...env });

/** The service of all tests here but those that kill one. */
const serviceWith = shared(newService);

async function start(env: Record<string, string> = {}, starting = serviceWith(env)) {
  const service = await starting;
  const { id } = await service.make();
  const path = `/v1/sessions/${id}/events`;
  const follow = async (query = "") =>
    new SseReader((await service.fetch(path + query, { headers: { connection: "close" } })).body!);
  const publish = async (...data: string[]) => {
    const { status, json } = await service.publish(
      id,
      data.map((each) => ({ data: each })),
    );
    expect(status).toBe(202);
    return json.ids;
  };
  const writers = async () =>
    (await service.send<{ writers: number }>("GET", `/v1/sessions/${id}?touch=false`)).json.writers;
  return { service, id, path, follow, publish, writers };
}

it.each(["closes", "is reset"])(
  "an event that is published after a reader %s goes to the next one",
  async (how) => {
    const { service, path, follow, publish } = await start();
    const socket = connect({ port: service.port, host: "127.0.0.1" });
    socket.on("error", () => {});
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    await once(socket, "data");
    if (how === "closes") socket.destroy();
    else socket.resetAndDestroy();
    await once(socket, "close");
    await publish(...numbers(0, 5));
    const next = await follow();
    await publish("last");
    expect(await readUntil(next, "last")).toEqual([...numbers(0, 5), "last"]);
    await next.leave();
  },
);

it("an event that a proxy took, and its client never got, goes to the next reader", async () => {
  const { service, path, follow, publish, writers } = await start({ KEEPALIVE_SECONDS: "1" });
  const relay = await Relay.to(service.port);
  relay.cutAt = /data: a\n/;
  const lost = new SseReader((await fetch(relay.url + path)).body!);
  await publish("a", "b");
  await expect(lost.rest()).rejects.toThrow();
  await expect.poll(writers, { interval: 20 }).toBe(0);
  const next = await follow();
  await publish("last");
  expect(await readUntil(next, "last")).toEqual(["a", "b", "last"]);
  await next.leave();
});

it.each([
  { what: "seven bursts", posts: 7, events: 10, bytes: 20_000, speed: 200_000, leaves: 300_000 },
  { what: "a burst", posts: 2, events: 25, bytes: 5_000, speed: 100_000, leaves: 70_000 },
])(
  "a reader on a slow link that leaves within $what leaves the rest to the next one",
  async ({ posts, events, bytes, speed, leaves }) => {
    const { service, path, follow, publish } = await start();
    const relay = await Relay.to(service.port);
    relay.bytesPerSecond = speed;
    relay.cutAfter = leaves;
    const slow = new SseReader((await fetch(relay.url + path)).body!);
    await startOf(slow);
    const all = numbers(0, posts * events);
    for (let n = 0; n < posts; n++) {
      const burst = all.slice(n * events, (n + 1) * events);
      await publish(...burst.map((number) => `${number}\n${"x".repeat(bytes)}`));
    }
    await expect(slow.rest()).rejects.toThrow();
    const whole = slow.text.matchAll(/^data: (\d+)\ndata: x+\nid: .*\n\n/gm);
    const seen = new Set([...whole].map(([, number]) => number));
    expect(seen.size).toBeLessThan(all.length);
    const next = await follow();
    await publish("last");
    const rest = (await readUntil(next, "last")).map((data) => data.split("\n")[0]);
    expect(rest).toEqual([...all.slice(-(rest.length - 1)), "last"]);
    expect([...seen, ...rest]).toEqual(expect.arrayContaining(all));
    await next.leave();
  },
);

it("a page that reloads twelve times while 160 tokens stream sees every one, in order", async () => {
  const { follow, publish } = await start();
  const tokens = numbers(0, 160);
  const seen = new Set<string>();
  let published = 0;
  const stream = async (count: number) => {
    for (const token of tokens.slice(published, (published += count))) await publish(token);
  };
  for (let reload = 0; reload < 12; reload++) {
    const page = await follow();
    await startOf(page);
    await stream(5);
    const tokensOfPage = await readUntil(page, String(published - 1));
    expect(tokensOfPage.map(Number)).toEqual(tokensOfPage.map(Number).toSorted((a, b) => a - b));
    for (const token of tokensOfPage) seen.add(token);
    await page.leave();
    // The page is not back yet, and nothing has told the service that it left.
    await stream(8);
  }
  await stream(tokens.length - published);
  const page = await follow();
  await publish("last");
  for (const token of await readUntil(page, "last")) seen.add(token);
  expect(tokens.filter((token) => !seen.has(token))).toEqual([]);
  await page.leave();
});

it("two readers that come at once both get what nobody has taken", async () => {
  const { follow, publish } = await start();
  await publish(...numbers(0, 3));
  const readers = [await follow(), await follow()];
  await publish("last");
  for (const reader of readers) {
    expect(await readUntil(reader, "last")).toEqual([...numbers(0, 3), "last"]);
    await reader.leave();
  }
});

it("an event that a reader took and lived on after does not go to the next reader, even after a restart", async () => {
  const { service, follow, publish, writers } = await start({}, newService({}));
  const reader = await follow();
  await startOf(reader);
  const [, , taken] = await publish("a", "b", "c");
  await readUntil(reader, "c");
  // The last event counts as taken once a later write went through: until then the next reader gets it again.
  const nextStarts = async () => {
    const next = await follow();
    const place = await startOf(next);
    await next.leave();
    return place;
  };
  await expect.poll(nextStarts).toBe(taken);
  await reader.leave();
  await publish("d");
  await expect.poll(writers).toBe(0);
  await service.kill();
  await service.restart();
  const next = await follow();
  expect(await readUntil(next, "d")).toEqual(["d"]);
  await next.leave();
});

it("an event that no reader is known to have taken outlives a crash", async () => {
  const { service, follow, publish } = await start({}, newService({}));
  const reader = await follow();
  await startOf(reader);
  await reader.leave();
  await publish(...numbers(0, 5));
  await service.kill();
  await service.restart();
  const next = await follow();
  await publish("last");
  expect(await readUntil(next, "last")).toEqual([...numbers(0, 5), "last"]);
  await next.leave();
});

it("a reader that has gone no longer counts once something was published", async () => {
  const { follow, publish, writers } = await start();
  const reader = await follow();
  await startOf(reader);
  await reader.leave();
  await publish("nobody reads this");
  await expect.poll(writers).toBe(0);
});

it("a reader that has gone no longer counts once another has come", async () => {
  const { follow, writers } = await start();
  const gone = await follow();
  await startOf(gone);
  await gone.leave();
  const reader = await follow();
  await startOf(reader);
  await expect.poll(writers).toBe(1);
  await reader.leave();
});

it("a page reloads as often as it likes: readers that have gone take no place", async () => {
  const { service, path, follow } = await start({ MAX_WRITERS: "3" });
  // Enough that places run out again while the readers before are still being looked after.
  for (let reload = 0; reload < 12; reload++) {
    const page = await service.fetch(path, { headers: { connection: "close" } });
    expect(page.status).toBe(200);
    const reader = new SseReader(page.body!);
    await startOf(reader);
    await reader.leave();
  }
  await (await follow()).leave();
});

it("readers that live keep their places, and a refused reader gets Retry-After", async () => {
  const { service, path, follow, publish } = await start({ MAX_WRITERS: "3" });
  const living = [await follow(), await follow(), await follow()];
  for (const reader of living) await startOf(reader);
  const refused = await service.fetch(path);
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ code: "too_many_writers" });
  expect(refused.headers.get("retry-after")).toMatch(/^[1-9]\d*$/);
  await publish("last");
  for (const reader of living) expect(await readUntil(reader, "last")).toEqual(["last"]);
  await living[0]!.leave();
  const next = await service.fetch(path);
  expect(next.status).toBe(200);
  await next.body?.cancel();
  for (const reader of living.slice(1)) await reader.leave();
});
