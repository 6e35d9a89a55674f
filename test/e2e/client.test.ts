/** `holdfast/client` against the service over real HTTP. `event-source-clients.test.ts` cuts its streams at every byte. */
import { describe, expect, it } from "vitest";
import { HoldfastClient } from "../../src/client/client.ts";
import type { HoldfastError } from "../../src/client/error.ts";
import type { Followed } from "../../src/client/follow.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { numbers } from "../support/read-until.ts";
import { Relay } from "../support/relay.ts";
import { shared } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const service = shared(() => Service.start());

/** Each request on a connection of its own, so that a relay can cut it. */
const fetchOnce = (url: string, init: RequestInit): Promise<Response> => {
  const headers = new Headers(init.headers);
  headers.set("connection", "close");
  return fetch(url, { ...init, headers });
};

async function behindRelay() {
  const { port, url } = await service();
  const relay = await Relay.to(port);
  const client = new HoldfastClient({ url: relay.url, fetch: fetchOnce });
  return { relay, client, direct: new HoldfastClient({ url }) };
}

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable("it did not fail"),
    (failure: unknown) => failure as HoldfastError,
  );

async function all(items: AsyncIterable<Followed>): Promise<string[]> {
  const seen: string[] = [];
  for await (const item of items) {
    seen.push(item.type === "event" ? item.data : item.type === "end" ? item.reason : "gap");
  }
  return seen;
}

/** The data of the next item. */
async function next(items: AsyncIterator<Followed, undefined>): Promise<string> {
  const { value } = await items.next();
  return value?.type === "event" ? value.data : (value?.type ?? "none");
}

describe("the verbs", () => {
  it("do what they say", async () => {
    const client = new HoldfastClient({ url: (await service()).url });
    const made = await client.create({ data: { n: 1 }, metadata: { a: "b" }, ttlSeconds: 60 });
    expect(made).toMatchObject({ data: { n: 1 }, metadata: { a: "b" }, ttlSeconds: 60 });
    const { id, etag } = made;
    const patched = await client.patch(id, { data: { m: 2 } }, { ifMatch: etag });
    expect(patched.data).toEqual({ n: 1, m: 2 });
    expect(await client.get(id, { touch: false })).toEqual(patched);
    const stale = await failureOf(client.patch(id, {}, { ifMatch: etag }));
    expect(stale).toMatchObject({ status: 412, code: "precondition_failed", lostAnswer: false });
    expect(await failureOf(client.create({ id }))).toMatchObject({
      status: 409,
      code: "session_already_exists",
    });
    expect(await failureOf(client.put(id, {}, { ifNoneMatch: "*" }))).toMatchObject({
      status: 412,
    });
    expect((await client.put(id, { data: 1.5 })).data).toBe(1.5);
    const first = await client.publish(id, { data: "one", event: "greet" });
    const { ids } = await client.publish(id, [{ data: 2 }, { data: null }]);
    const end = await client.end(id, { data: "last" });
    expect(await client.read(id)).toEqual({
      events: [
        { id: first.id, event: "greet", data: "one" },
        { id: ids[0], data: "2" },
        { id: ids[1], data: "null" },
        { id: expect.any(String) as string, data: "last" },
      ],
      lastEventId: end.id,
      ended: true,
    });
    expect(await client.read(id, { after: ids[0]!, limit: 1 })).toMatchObject({
      events: [{ id: ids[1] }],
      ended: false,
    });
    expect(await failureOf(client.publish(id, { data: 1 }))).toMatchObject({
      status: 409,
      code: "stream_ended",
    });
    await expect
      .poll(async () => (await client.list()).sessions.map((one) => one.id))
      .toContain(id);
    expect((await client.count({ type: "mcp" })).count).toBeGreaterThan(0);
    await client.delete(id);
    await client.delete(id);
    expect(await failureOf(client.get(id))).toMatchObject({
      status: 404,
      code: "session_not_found",
    });
    expect(await failureOf(client.get("x"))).toMatchObject({ code: "invalid_session_id" });
    expect(await failureOf(client.revoke())).toMatchObject({ code: "invalid_request" });
  });

  it("whose answers are cut are carried out once", async () => {
    const { relay, client, direct } = await behindRelay();
    const { id } = await direct.create();
    const cuts = [0, 1, 15, 120, 400].map((bytes) => new RegExp(`^[^]{${bytes}}`));
    const ids: string[] = [];
    for (const [n, cut] of cuts.entries()) {
      relay.cutOnce(cut);
      ids.push((await client.publish(id, { data: String(n) })).id);
      relay.cutOnce(cut);
      // The session of a try whose answer is lost is the one that is given, and there is no other.
      const made = await client.create({ subject: `cut-${n}` });
      expect(await direct.get(made.id)).toMatchObject({ id: made.id, subject: `cut-${n}` });
      await expect
        .poll(async () =>
          (await direct.list({ subject: `cut-${n}` })).sessions.map((one) => one.id),
        )
        .toEqual([made.id]);
    }
    relay.cutOnce(cuts[1]!);
    const end = await client.end(id, { data: "last" });
    const page = await direct.read(id);
    expect(page.events.map((one) => one.data)).toEqual([...numbers(0, cuts.length), "last"]);
    expect(page.events.slice(0, -1).map((one) => one.id)).toEqual(ids);
    expect(page.lastEventId).toBe(end.id);
  });

  it("wait for a service that is away, as a stream does", async () => {
    const own = await Service.start();
    const failed: string[] = [];
    const onRetry = ({ code }: HoldfastError) => void failed.push(code);
    const client = new HoldfastClient({ url: own.url, onRetry });
    const { id } = await client.create();
    const items = client.follow(id);
    const first = next(items);
    await client.publish(id, { data: "before" });
    expect(await first).toBe("before");
    await own.kill();
    const second = next(items);
    const published = client.publish(id, { data: "while it was away" });
    await expect.poll(() => failed.length).toBeGreaterThan(2);
    await own.restart();
    await published;
    expect(await second).toBe("while it was away");
    await client.end(id);
    expect(await all(items)).toEqual(["ended"]);
    expect(new Set(failed)).toEqual(new Set(["no_answer"]));
  });
});

describe("a stream", () => {
  it("that goes silent is left, and resumed on another connection", async () => {
    const { relay, client, direct } = await behindRelay();
    const { id } = await direct.create();
    // The service's comments come every 15 s, so a quiet stream is silent to this client too.
    const items = client.follow(id, { silenceMs: 1000 });
    const first = next(items);
    await direct.publish(id, { data: "0" });
    expect(await first).toBe("0");
    relay.silence();
    const second = next(items);
    await direct.publish(id, { data: "1" });
    expect(await second).toBe("1");
    await direct.end(id);
    expect(await all(items)).toEqual(["ended"]);
    expect(relay.connections).toBeGreaterThan(1);
  });

  it("says how its session ended", async () => {
    const client = new HoldfastClient({ url: (await service()).url });
    const short = await client.create({ maxLifetimeSeconds: 1 });
    expect(await all(client.follow(short.id))).toEqual(["expired"]);
    const { id } = await client.create();
    let onOpen!: () => void;
    const opened = new Promise<void>((resolve) => (onOpen = resolve));
    const seen = all(client.follow(id, { onOpen }));
    await opened;
    await client.delete(id);
    expect(await seen).toEqual(["deleted"]);
  });

  it("whose session went while the client was away is 404: nobody knows how it ended", async () => {
    const { relay, direct } = await behindRelay();
    const { id } = await direct.create();
    let connections = 0;
    const fetch = async (url: string, init: RequestInit) => {
      if (++connections === 2) await direct.delete(id);
      return fetchOnce(url, init);
    };
    const items = new HoldfastClient({ url: relay.url, fetch }).follow(id);
    const first = next(items);
    await direct.publish(id, { data: "0" });
    expect(await first).toBe("0");
    relay.cut();
    expect(await failureOf(items.next())).toMatchObject({ status: 404, code: "session_not_found" });
  });

  it("is opened by tickets, one for each connection", async () => {
    const tokens = await apiTokens({
      app: ["app", ["sessions:write", "events:publish", "events:subscribe"]],
    });
    const own = await Service.start({
      AUTH: "token",
      API_TOKENS: tokens.variable,
      TICKET_SECRET: "x".repeat(32),
    });
    const relay = await Relay.to(own.port);
    const app = new HoldfastClient({ url: own.url, token: tokens.secrets[0]! });
    const { id } = await app.create();
    const page = new HoldfastClient({ url: relay.url });
    expect(await failureOf(page.follow(id).next())).toMatchObject({ status: 401 });
    let asked = 0;
    const ticket = () => {
      asked++;
      return app.ticket(id);
    };
    const items = page.follow(id, { ticket });
    const first = next(items);
    await app.publish(id, { data: "0" });
    expect(await first).toBe("0");
    relay.cut();
    await app.publish(id, { data: "1" });
    await app.end(id);
    expect(await all(items)).toEqual(["1", "ended"]);
    expect(asked).toBe(2);
  });
});
