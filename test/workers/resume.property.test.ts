/**
 * Publish, subscribe, cut, reload, evict, abort, trim, read and end in any order.
 * - A client that comes back with the last id that it saw gets every later event once, in order,
 *   or a gap where the log no longer holds the missed events.
 * - Clients without an id get every event at least once among them, in order, or a gap.
 * - A publish that is repeated under one key is stored once, with or without an answer.
 * - JSON shows the events that the log retains, and every reader of an ended stream learns that it is complete.
 */
import { abortAllDurableObjects } from "cloudflare:test";
import fc from "fast-check";
import { expect, it } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { evict } from "../support/object.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { SLOW_LINK_BYTES_PER_S } from "../../src/core/limits.ts";
import type { EventPage, PublishedMany } from "../../src/core/api.ts";
import { NAME, seenIn, StreamModel } from "../support/stream-model.ts";

/** The defaults of LOG_MAX_EVENTS and LOG_MAX_BYTES. */
const BOUNDS = { maxEvents: 10_000, maxBytes: 4 * 1024 * 1024 };
const CLIENTS = 3;
const TABS = 2;
/** Makes a hundred events more than a page of replay, and 1,400 more than the log's bytes. */
const PAD = "x".repeat(3000);
/** Events that are more than the log holds. */
const FLOOD = 1500;
/** An id that belongs to no session. */
const FOREIGN = "000000000000000-000000000001-0";

type Step =
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "keyed"; readonly count: number; readonly lost: "answer" | "object" | "none" }
  | { readonly do: "repeat"; readonly nth: number }
  | { readonly do: "connect" | "yield"; readonly client: number }
  | { readonly do: "cut"; readonly client: number; readonly share: number }
  | { readonly do: "reload" | "leave" | "rest"; readonly tab: number }
  | { readonly do: "read"; readonly after: number; readonly limit: number }
  | { readonly do: "flood" | "evict" | "abort" };

const client = fc.nat({ max: CLIENTS - 1 });
const tab = fc.nat({ max: TABS - 1 });
const count = fc.constantFrom(1, 1, 2, 7, 100);
const is = <T extends string>(name: T) => fc.constant(name);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: is("publish"), count }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: is("keyed"),
      count,
      lost: fc.constantFrom("none" as const, "answer" as const, "object" as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: is("repeat"), nth: fc.nat() }) },
  { weight: 4, arbitrary: fc.record({ do: is("connect"), client }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: is("cut"),
      client,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: is("reload"), tab }) },
  { weight: 2, arbitrary: fc.record({ do: is("leave"), tab }) },
  { weight: 1, arbitrary: fc.record({ do: is("rest"), tab }) },
  { weight: 1, arbitrary: fc.record({ do: is("flood") }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: is("read"), after: fc.nat(), limit: fc.constantFrom(1, 100, 1000) }),
  },
  { weight: 3, arbitrary: fc.record({ do: is("yield"), client }) },
  { weight: 2, arbitrary: fc.record({ do: is("evict") }) },
  { weight: 1, arbitrary: fc.record({ do: is("abort") }) },
);

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** The answer to a publish, or the problem that refuses it. */
type Published = PublishedMany & { readonly code?: string };

interface Keyed {
  readonly key: string;
  readonly body: readonly object[];
  readonly ids: readonly string[];
  /** The number of its last event. */
  readonly last: number;
}

/** A client with an id, or one stream without. */
interface Reader {
  readonly client: ResumingClient;
  /** Of a client: the number of the event that its first stream starts with. Of a stream: the number of the first event that nobody had seen when it began. */
  from: number;
}

class Play {
  readonly model = new StreamModel(BOUNDS);
  readonly clients: Reader[];
  /** Every stream of a reader without an id, in the order in which they were opened. */
  readonly streams: Reader[] = [];
  readonly #id: string;
  readonly #path: string;
  readonly #tabs: (Reader | undefined)[] = [];
  readonly #keyed: Keyed[] = [];
  #keys = 0;
  /** The number after the last event that has arrived anywhere. */
  #seen = 0;

  constructor(id: string, clients: number) {
    this.#id = id;
    this.#path = pathOf(id, "/events");
    this.clients = Array.from({ length: clients }, () => this.#client());
  }

  #client(): Reader {
    const reader = {
      from: 0,
      client: new ResumingClient((lastEventId) => {
        if (lastEventId === undefined) {
          reader.from = this.model.first;
          return request("GET", `${this.#path}?from=earliest`);
        }
        return request("GET", this.#path, undefined, { "last-event-id": lastEventId });
      }),
    };
    return reader;
  }

  async step(next: Step): Promise<void> {
    switch (next.do) {
      case "publish":
        return void (await this.publish(next.count));
      case "keyed":
        return this.#publishKeyed(next.count, next.lost);
      case "repeat":
        return this.#repeat(next.nth);
      case "read":
        return this.#read(next.after, next.limit);
      case "evict":
        return evict(this.#id).catch(() => {});
      case "abort":
        return this.#abort();
      case "reload":
        return this.reload(next.tab);
      case "leave":
        this.#look();
        return this.#tabs[next.tab]?.client.cut(1);
      case "flood":
        for (let left = FLOOD; left > 0 && (await this.publish(100)); left -= 100);
        return;
      case "rest":
        return this.#rest(this.#tabs[next.tab]);
      case "yield":
        return void (await turn());
      default: {
        const target = this.clients[next.client]?.client;
        if (next.do === "cut") {
          this.#look();
          await target?.cut(next.share);
        } else if (target && !target.connected && !target.received.includes("ended")) {
          await target.connect();
        }
      }
    }
  }

  /** Returns whether the events were accepted. */
  async publish(count: number): Promise<boolean> {
    const { data, body } = this.#events(count);
    const { status, json } = await call<Published>("POST", this.#path, body);
    if (status === 202) this.model.add(json.ids, data);
    else this.#checkRefusal(status, json);
    return status === 202;
  }

  /** Opens the stream of one tab anew, without an id. */
  async reload(tab: number): Promise<void> {
    this.#look();
    await this.#tabs[tab]?.client.cut(1);
    const stream = { client: new ResumingClient(() => request("GET", this.#path)), from: 0 };
    await stream.client.connect();
    // Others may have got more while this one was on its way.
    this.#look();
    stream.from = this.#seen;
    this.#tabs[tab] = stream;
    this.streams.push(stream);
  }

  async end(): Promise<void> {
    const { status, json } = await call<{ id: string }>("POST", pathOf(this.#id, "/end"));
    expect(status).toBe(202);
    this.model.endedId = json.id;
    expect((await call<{ id: string }>("POST", pathOf(this.#id, "/end"))).json.id).toBe(json.id);
  }

  /** Every reader comes to the end of the stream, and has got what it is owed. */
  async check(): Promise<void> {
    const { model } = this;
    await this.reload(0);
    for (const { client } of this.streams) if (client.connected) await client.ended();
    expect(this.streams.at(-1)?.client.received.at(-1)).toBe("ended");
    for (const { client, from } of this.streams) model.checkFresh(client.received, from);
    for (const { client } of this.clients) {
      while (!client.received.includes("ended")) {
        if (!client.connected) await client.connect();
        await client.ended();
      }
    }
    for (const { client, from } of this.clients) model.checkResumed(client.received, from);
    const seen = { "last-event-id": model.endedId! };
    expect((await request("GET", this.#path, undefined, seen)).status).toBe(204);
    await this.#readAll();
  }

  async #publishKeyed(count: number, lost: "answer" | "object" | "none"): Promise<void> {
    const { data, body } = this.#events(count);
    const key = `key-${this.#keys++}`;
    const send = () => call<Published>("POST", this.#path, body, { "idempotency-key": key });
    let before: readonly string[] | undefined;
    if (lost === "answer") {
      // Two at once, of which one is answered.
      const [one, other] = await Promise.all([send(), send()]);
      if (one.status === 202) expect(other.json.ids).toEqual(one.json.ids);
      before = one.json.ids;
    } else if (lost === "object") {
      const unanswered = send().then(
        ({ status, json }) => (status === 202 ? json.ids : undefined),
        () => undefined,
      );
      await turn();
      await this.#abort();
      before = await unanswered;
    }
    const { status, json, headers } = await send();
    if (status !== 202) {
      this.#checkRefusal(status, json);
      return expect(before).toBeUndefined();
    }
    if (before) {
      expect([json.ids, headers.get("idempotency-replayed")]).toEqual([before, "true"]);
    }
    this.model.add(json.ids, data);
    this.#keyed.push({ key, body, ids: json.ids, last: this.model.next - 1 });
  }

  /** Repeats a publish whose key is known still. */
  async #repeat(nth: number): Promise<void> {
    const known = this.#keyed.filter(({ last }) => last >= this.model.first);
    const one = known[nth % known.length];
    if (!one) return;
    const answer = await call<Published>("POST", this.#path, one.body, {
      "idempotency-key": one.key,
    });
    expect([answer.status, answer.json.ids]).toEqual([202, one.ids]);
    expect(answer.headers.get("idempotency-replayed")).toBe("true");
  }

  async #read(choice: number, limit: number): Promise<void> {
    const { events, endedId } = this.model;
    const known = [...events.map(({ id }) => id), endedId ?? FOREIGN, FOREIGN, undefined];
    await this.#page(known[choice % known.length], limit);
  }

  /** Reads page after page, as a client that knows nothing does, until it gets the end. */
  async #readAll(): Promise<void> {
    let after: string | undefined;
    for (let ended = false; !ended;) ({ ended, lastEventId: after } = await this.#page(after, 500));
  }

  async #page(after: string | undefined, limit: number): Promise<EventPage> {
    const query = `?limit=${limit}${after === undefined ? "" : `&after=${after}`}`;
    const { status, json } = await call<EventPage>("GET", this.#path + query, undefined, {
      accept: "application/json",
    });
    expect(status).toBe(200);
    this.model.checkPage(json, after, limit);
    return json;
  }

  /**
   * Waits until a reader is known to have what it got: that takes two comments, after the time in which
   * a slow link carries it. Where that is seconds, a plan would take minutes.
   */
  async #rest(stream: Reader | undefined): Promise<void> {
    if (!stream?.client.connected || this.model.endedId) return;
    const { arrived } = stream.client;
    if (seenIn(arrived) === 0 || arrived.length > 2 * SLOW_LINK_BYTES_PER_S) return;
    expect(await stream.client.arrives(": keep-alive\n: keep-alive\n")).toBe(true);
  }

  async #abort(): Promise<void> {
    await abortAllDurableObjects();
    for (const { client } of [...this.clients, ...this.streams]) {
      if (client.connected) await client.ended();
      this.#look();
    }
  }

  #events(count: number) {
    const data = Array.from({ length: count }, (_, n) => `${this.model.next + n} ${PAD}`);
    return { data, body: data.map((one) => ({ data: one, event: NAME })) };
  }

  #checkRefusal(status: number, { code }: Published): void {
    // Otherwise the log is full of what nobody has taken.
    const expected = this.model.endedId ? [409, "stream_ended"] : [503, "message_channel_full"];
    expect([status, code]).toEqual(expected);
  }

  #look(): void {
    for (const { client } of [...this.clients, ...this.streams]) {
      this.#seen = Math.max(this.#seen, seenIn(client.arrived));
    }
  }
}

interface Plan {
  readonly steps: readonly Step[];
  /** Steps after the end of the stream. */
  readonly late?: readonly Step[];
  readonly overflow: "refuse" | "trim";
  readonly clients?: number;
}

/** Plays the steps, checks every reader, and answers what each client and each stream without an id received. */
async function play({
  steps,
  late = [],
  overflow,
  clients = CLIENTS,
}: Plan): Promise<Record<"clients" | "streams", (readonly string[])[]>> {
  const { id } = await make({ overflow });
  const playing = new Play(id, clients);
  // Readers that are there from the start, so that every client has a place to come back to.
  for (const { client } of playing.clients) await client.connect();
  for (const next of steps) await playing.step(next);
  for (const { client } of playing.clients) if (!client.connected) await client.connect();
  await playing.reload(0);
  // Where the log is full there is room once what the readers take is known.
  await expect.poll(() => playing.publish(1), { interval: 1 }).toBe(true);
  await playing.end();
  for (const next of late) await playing.step(next);
  await playing.check();
  await call("DELETE", pathOf(id));
  const received = ({ client }: Reader) => client.received;
  return { clients: playing.clients.map(received), streams: playing.streams.map(received) };
}

it("whatever happens, every reader gets what it is owed, and every publisher is heard once", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        steps: fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
        late: fc.array(step, { maxLength: 10, size: "max" }),
        overflow: fc.constantFrom("refuse" as const, "trim" as const),
        // With no such reader, the events that one reader without an id leaves go to the next one alone.
        clients: fc.constantFrom(0, CLIENTS),
      }),
      async (plan) => void (await play(plan)),
    ),
    { numRuns: 10, endOnFailure: true },
  );
}, 120_000);

it("a log trimmed between any two visits is said to have a gap", async () => {
  const steps: Step[] = [
    { do: "publish", count: 7 },
    { do: "yield", client: 0 },
    { do: "cut", client: 0, share: 1 },
    { do: "flood" },
    { do: "connect", client: 0 },
    { do: "evict" },
    { do: "flood" },
    { do: "cut", client: 1, share: 0.3 },
    { do: "flood" },
  ];
  const received = (await play({ steps, overflow: "trim" })).clients;
  // The number of gaps depends on how fast each asks for its pages: a reader that is overtaken gets another.
  for (const frames of received.slice(0, 2)) expect(frames).toContain("gap");
});

it("a log trimmed while nobody reads is said to have a gap, to who comes without an id too", async () => {
  const steps: Step[] = [
    { do: "reload", tab: 0 },
    { do: "publish", count: 7 },
    { do: "rest", tab: 0 },
    { do: "leave", tab: 0 },
    { do: "flood" },
    { do: "evict" },
  ];
  const { streams } = await play({ steps, overflow: "trim", clients: 0 });
  expect(streams[1]?.[0]).toBe("gap");
});
