/**
 * Readers and publishers over real HTTP, through relays that cut a connection at any byte of the
 * answer, its headers included, while publishing goes on.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { SLOW_LINK_BYTES_PER_S } from "../../src/core/limits.ts";
import { Relay } from "../support/relay.ts";
import { ResumingClient } from "../support/resuming-client.ts";
import { beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";
import type { EventPage } from "../../src/core/api.ts";
import { NAME, numberOf, seenIn, StreamModel } from "../support/stream-model.ts";
import { isHeldUp, type SeveringRelay } from "../support/severing-relay.ts";

/** A reader that comes, the events published meanwhile, and the places of the cuts. */
interface Visit {
  /** Bytes of the stream to let through. */
  readonly after: number;
  readonly events: number;
  /**
   * Bytes of each answer to the publisher to let through before its connection is cut; it repeats
   * itself under one key after each. Empty: one publish without a key, whose answer comes.
   */
  readonly answers: readonly number[];
  /** Whether the reader stays until it is known to have what it got. */
  readonly stays: boolean;
  /** Whether the reader is on a slow link, and the events are large. */
  readonly isSlow: boolean;
  /** A page of JSON that is read in between. */
  readonly read: { readonly after: number; readonly limit: number };
}

/** The choices of the readers of a play, besides coming and being cut. */
type Habit = "stay" | "be slow";

const sometimes = (may: boolean, share: number): fc.Arbitrary<boolean> =>
  may ? fc.integer({ min: 0, max: 9 }).map((n) => n < share * 10) : fc.constant(false);

const visit = (habit?: Habit): fc.Arbitrary<Visit> =>
  fc.record({
    after: fc.integer({ min: 1, max: 6000 }),
    events: fc.integer({ min: 1, max: 30 }),
    answers: fc.oneof(
      { weight: 2, arbitrary: fc.constant([]) },
      { weight: 1, arbitrary: fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 3 }) },
    ),
    stays: sometimes(habit === "stay", 0.1),
    isSlow: sometimes(habit === "be slow", 0.5),
    read: fc.record({ after: fc.nat(), limit: fc.constantFrom(1, 10, 1000) }),
  });

/** They show what came before them to be taken. */
const TWO_COMMENTS = ": keep-alive\n: keep-alive\n";

const visits = (habit?: Habit) =>
  fc.array(visit(habit), { minLength: 2, maxLength: habit === "be slow" ? 5 : 12, size: "max" });

/** A link of twice the speed for which nothing is lost, and a burst that it carries in two seconds. */
const SLOW = { bytesPerSecond: 2 * SLOW_LINK_BYTES_PER_S, events: 32, bytes: 8 * 1024 };

/** The defaults of LOG_MAX_EVENTS and LOG_MAX_BYTES. */
const BOUNDS = { maxEvents: 10_000, maxBytes: 4 * 1024 * 1024 };

class Play {
  readonly model: StreamModel;
  readonly #service: Service;
  /** In the way of the readers, and of the publisher. */
  readonly #readers: SeveringRelay;
  readonly #publisher: SeveringRelay;
  readonly #path: string;
  #keys = 0;

  constructor(
    service: Service,
    [readers, publisher]: readonly [SeveringRelay, SeveringRelay],
    id: string,
    bounds = BOUNDS,
  ) {
    this.model = new StreamModel(bounds);
    this.#service = service;
    this.#readers = readers;
    this.#publisher = publisher;
    this.#path = `/v1/sessions/${id}`;
  }

  /** Opens a stream through the relay. */
  follow(query = "", lastEventId?: string): Promise<Response> {
    this.#readers.longestCut = 0;
    return fetch(`${this.#readers.url}${this.#path}/events${query}`, {
      headers: { connection: "close", ...(lastEventId && { "last-event-id": lastEventId }) },
    });
  }

  /**
   * One visit of a reader, while somebody publishes. Returns the number of the event at which the next
   * reader without an id may start.
   */
  async visit(
    client: ResumingClient,
    { after, events, answers, stays, isSlow, read }: Visit,
  ): Promise<number> {
    // A reader that is cut at such a place has been there for half a second or more.
    const slowBytes = isSlow ? SLOW.bytesPerSecond / 2 + after * 20 : 0;
    if (isSlow) this.#readers.bytesPerSecond = SLOW.bytesPerSecond;
    this.#readers.cutAfter = stays ? Infinity : slowBytes || after;
    const publishing = isSlow
      ? this.publish(SLOW.events, answers, SLOW.bytes)
      : this.publish(events, answers);
    // A cut within the headers is a failed connection, and the next one tries again.
    await client.connect().catch(() => {});
    await publishing;
    if (client.connected) {
      if (stays) {
        const last = `${this.model.next - 1} `;
        expect(await client.arrives(`data: ${last}`)).toBe(true);
        expect(await client.arrives(TWO_COMMENTS)).toBe(true);
        this.#readers.cutAfter = after;
      }
      if (!isSlow) this.#readers.cut();
      await client.ended();
    }
    this.#readers.cutAfter = Infinity;
    this.#readers.bytesPerSecond = Infinity;
    const next = await this.nextAfter(client, slowBytes);
    await this.#read(read);
    return next;
  }

  /**
   * The number of the event at which a reader without an id may start after this one, that was cut after
   * so many bytes of a slow link.
   */
  async nextAfter(client: ResumingClient, slowBytes = 0): Promise<number> {
    await this.#readers.quiet();
    const isLate = isHeldUp(this.#readers.longestCut, slowBytes);
    return isLate ? this.model.next : seenIn(client.arrived);
  }

  /** Publishes events, of which all are published exactly once whatever becomes of the answers. */
  async publish(count: number, answers: readonly number[] = [], bytes = 0): Promise<void> {
    const data = Array.from(
      { length: count },
      (_, n) => `${this.model.next + n} ${"é".repeat(n * 7)}${"x".repeat(bytes)}`,
    );
    const body = data.map((one) => ({ data: one, event: NAME }));
    const key = answers.length > 0 ? `key-${this.#keys++}` : undefined;
    const ids = await this.#repeat(answers, async (url) => {
      const answer = await this.#post(url, "/events", body, key);
      return answer.ids ?? [];
    });
    this.model.add(ids, data);
  }

  /** Ends the stream. The end needs no key: it is the same however often it is asked for. */
  async end(answers: readonly number[]): Promise<void> {
    const send = async (url: string) => (await this.#post(url, "/end", {})).id ?? "";
    this.model.endedId = await this.#repeat(answers, send);
    expect(await send(this.#service.url)).toBe(this.model.endedId);
  }

  /** A reader that comes now without an id gets the end; one that has seen the end gets a 204. */
  async checkEnd(): Promise<void> {
    const fresh = new ResumingClient(() => this.follow());
    await fresh.connect();
    await fresh.ended();
    expect(fresh.received.at(-1)).toBe("ended");
    expect((await this.follow("", this.model.endedId)).status).toBe(204);
    await this.#read({ after: this.model.next, limit: 1000 });
  }

  async #read({ after: choice, limit }: Visit["read"]): Promise<void> {
    const known = [...this.model.events.map(({ id }) => id), undefined];
    const after = known[choice % known.length];
    const query = `?limit=${limit}${after === undefined ? "" : `&after=${after}`}`;
    const headers = { accept: "application/json" };
    const response = await this.#service.fetch(`${this.#path}/events${query}`, { headers });
    this.model.checkPage((await response.json()) as EventPage, after, limit);
  }

  /** Sends through the relay, once for each answer that is to be cut, until one comes whole. */
  async #repeat<T>(answers: readonly number[], send: (url: string) => Promise<T>): Promise<T> {
    for (const cutAfter of answers) {
      this.#publisher.cutAfter = cutAfter;
      await send(this.#publisher.url).catch(() => {});
    }
    return send(this.#service.url);
  }

  async #post(
    url: string,
    path: string,
    body: unknown,
    key?: string,
  ): Promise<{ readonly id?: string; readonly ids?: readonly string[] }> {
    const response = await fetch(url + this.#path + path, {
      method: "POST",
      headers: {
        connection: "close",
        "content-type": "application/json",
        ...(key !== undefined && { "idempotency-key": key }),
      },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    expect([response.status, text]).toEqual([202, text]);
    return JSON.parse(text) as { id?: string; ids?: string[] };
  }
}

const relaysTo = async (port: number) => [await Relay.to(port), await Relay.to(port)] as const;

/** Comes back with its last id until the stream has ended. */
async function readOn(client: ResumingClient): Promise<void> {
  while (!client.received.includes("ended")) {
    await client.connect();
    await client.ended();
  }
}

/** Five tests share the time that a busy machine has for one. */
const AT_ONCE = { timeout: 5 * 60_000 };

it.concurrent(
  "clients without an id that are cut at any byte get a gap for what was trimmed while none was there",
  AT_ONCE,
  beside(async () => {
    const bounds = { ...BOUNDS, maxEvents: 20 };
    const service = await Service.start({ LOG_MAX_EVENTS: String(bounds.maxEvents) });
    const relays = await relaysTo(service.port);
    const [readers] = relays;
    const absence = fc.record({
      events: fc.integer({ min: 1, max: 30 }),
      // Of ten readers one stays until it is known to have everything.
      after: fc.oneof(
        { weight: 9, arbitrary: fc.integer({ min: 1, max: 6000 }) },
        { weight: 1, arbitrary: fc.constant(Infinity) },
      ),
    });
    const plans = fc.array(absence, { minLength: 2, maxLength: 12, size: "max" });
    // The first reader has seen nothing when all that it was sent is trimmed.
    const trimmedUnseen = [
      { events: 30, after: 1 },
      { events: 30, after: Infinity },
    ];
    let gaps = 0;
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const { id } = await service.make({ overflow: "trim" });
        const playing = new Play(service, relays, id, bounds);
        const { model } = playing;
        let unseen = 0;
        const visit = async (leaves: (client: ResumingClient) => Promise<void>) => {
          const client = new ResumingClient(() => playing.follow());
          // A cut within the headers is a failed connection, and the next one tries again.
          await client.connect().catch(() => {});
          if (client.connected) await leaves(client);
          await client.ended();
          model.checkFresh(client.received, unseen);
          const [first, next] = client.received;
          if (first === "gap" && next !== undefined) {
            gaps++;
            expect(numberOf(next)).toBe(model.first);
          }
          unseen = Math.max(unseen, await playing.nextAfter(client));
          return client.received;
        };
        for (const { events, after } of plan) {
          await playing.publish(events);
          readers.cutAfter = after;
          await visit(async (client) => {
            await client.arrives(`data: ${model.next - 1} `);
            if (after === Infinity) expect(await client.arrives(TWO_COMMENTS)).toBe(true);
            readers.cut();
          });
        }
        readers.cutAfter = Infinity;
        await playing.end([]);
        expect((await visit(async () => {})).at(-1)).toBe("ended");
        await playing.checkEnd();
      }),
      { numRuns: 6, endOnFailure: true, examples: [[trimmedUnseen]] },
    );
    expect(gaps).toBeGreaterThan(0);
  }),
);

it.concurrent.each([
  ["every event once, in order", {}, "refuse", BOUNDS],
  [
    "every event that is retained once, in order, and a gap for the others",
    { LOG_MAX_EVENTS: "50" },
    "trim",
    { ...BOUNDS, maxEvents: 50 },
  ],
] as const)(
  "a client that is cut at any byte gets %s",
  AT_ONCE,
  beside(async (_what, env, overflow, bounds) => {
    const service = await Service.start(env);
    const relays = await relaysTo(service.port);
    await fc.assert(
      fc.asyncProperty(
        visits(),
        fc.array(fc.integer({ min: 1, max: 400 }), { maxLength: 2 }),
        async (plan, cuts) => {
          const { id } = await service.make({ overflow });
          const playing = new Play(service, relays, id, bounds);
          let from = 0;
          let until: number | undefined;
          const client = new ResumingClient((lastEventId) => {
            // Events that are published while this is on its way may trim the log before it arrives.
            if (!lastEventId) [from, until] = [playing.model.first, undefined];
            return playing.follow(lastEventId ? "" : "?from=earliest", lastEventId);
          });
          for (const each of plan) {
            await playing.visit(client, each);
            until ??= playing.model.first;
          }
          await playing.publish(1);
          await playing.end(cuts);
          await readOn(client);
          playing.model.checkResumed(client.received, from, until);
          await playing.checkEnd();
        },
      ),
      { numRuns: 8, endOnFailure: true },
    );
  }),
);

it.concurrent.each([
  ["that are cut at any byte", visits("stay"), 10],
  ["that leave a slow link in the middle of a burst", visits("be slow"), 5],
] as const)(
  "clients without an id %s get every event at least once among them, in order",
  AT_ONCE,
  beside(async (_what, plans, numRuns) => {
    const service = await Service.start();
    const relays = await relaysTo(service.port);
    await fc.assert(
      fc.asyncProperty(plans, async (plan) => {
        const { id } = await service.make();
        const playing = new Play(service, relays, id);
        let seen = 0;
        const streams: { readonly client: ResumingClient; readonly unseen: number }[] = [];
        for (const each of plan) {
          const client = new ResumingClient(() => playing.follow());
          streams.push({ client, unseen: seen });
          seen = Math.max(seen, await playing.visit(client, each));
        }
        const last = new ResumingClient(() => playing.follow());
        streams.push({ client: last, unseen: seen });
        await last.connect();
        await playing.publish(1);
        await playing.end([]);
        await last.ended();
        for (const { client, unseen } of streams) playing.model.checkFresh(client.received, unseen);
        expect(last.received.at(-1)).toBe("ended");
        await playing.checkEnd();
      }),
      { numRuns, endOnFailure: true },
    );
  }),
);
