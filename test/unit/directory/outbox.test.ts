/**
 * The outbox alone: which messages it sends to the directory, when, and in which order. The directory
 * answers as a test says. Each life of the object has a storage that fails once it is over.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AlarmClock } from "../../../src/alarm-clock.ts";
import type { SessionId } from "../../../src/core/id.ts";
import {
  FIRST_RESEND_MS,
  LONGEST_RESEND_MS,
  RENEWED_FOR_MS,
  SEND_DELAY_MS,
} from "../../../src/core/limits.ts";
import type { Delivery, DirectoryMessage } from "../../../src/directory/contract.ts";
import { Outbox, type Listed } from "../../../src/directory/outbox.ts";
import { dropTime } from "../../../src/directory/staleness.ts";
import { directoryUntold } from "../../../src/signals/metrics.ts";
import { ObjectStorage, type Life } from "../../support/object-storage.ts";

const NOW = Date.UTC(2100, 0, 1);
const TTL = 1_600_000;
const QUARTER = TTL / 4;
const ID = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55" as SessionId;
const TAKEN: Delivery = { kind: "taken" };

beforeEach(() => {
  vi.useFakeTimers({ now: NOW });
  // The spread of retries.
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

interface Sent {
  readonly message: DirectoryMessage;
  readonly shardsThen: number | undefined;
}

/** A session as it was made at `NOW`, or as it is after a change. */
function listed(more: Partial<Listed["session"]> = {}, deadline = NOW + TTL): Listed {
  return {
    session: {
      id: ID,
      type: "mcp",
      createdAt: NOW,
      subject: "alice",
      ttlMs: TTL,
      maxLifetimeMs: 0,
      updatedAt: NOW,
      revision: 1,
      shards: 2,
      ...more,
    },
    deadline,
  };
}

/** After a change at `at`, with its deadline a TTL later. */
const changedAt = (at: number, more: Partial<Listed["session"]> = {}) =>
  listed({ updatedAt: at, revision: 2, ...more }, at + (more.ttlMs ?? TTL));

class World {
  readonly disk = new ObjectStorage();
  readonly sent: Sent[] = [];
  readonly warned: unknown[] = [];
  /** The work for which the platform keeps the object in memory. */
  readonly background: Promise<unknown>[] = [];
  shards = 2;
  answer: (message: DirectoryMessage) => Delivery | Promise<Delivery> = () => TAKEN;
  outbox: Outbox;
  alarm: AlarmClock;
  #life: Life;
  readonly #hasDirectory: boolean;

  constructor(hasDirectory = true) {
    this.#hasDirectory = hasDirectory;
    this.#life = this.disk.open();
    [this.outbox, this.alarm] = this.#load(hasDirectory);
  }

  /** The object leaves memory, and another life of it begins, which knows what its alarm is set for. */
  async evict(hasDirectory = this.#hasDirectory): Promise<void> {
    this.#life.end();
    this.#life = this.disk.open();
    [this.outbox, this.alarm] = this.#load(hasDirectory);
    await this.alarm.load();
  }

  /** Lets everything be sent that is sent at once, and returns it. */
  async told(): Promise<DirectoryMessage[]> {
    const before = this.sent.length;
    await pass(SEND_DELAY_MS);
    return this.sent.slice(before).map(({ message }) => message);
  }

  get last(): Sent {
    return this.sent.at(-1)!;
  }

  get storage(): DurableObjectStorage {
    return this.#life.storage;
  }

  get row(): unknown {
    return this.storage.kv.get("directory");
  }

  #load(hasDirectory: boolean): [Outbox, AlarmClock] {
    const { storage } = this.#life;
    const alarm = new AlarmClock(storage);
    const shards = () => this.shards;
    const directory = {
      get shards() {
        return shards();
      },
      deliver: async (message: DirectoryMessage, shardsThen?: number) => {
        this.sent.push({ message, shardsThen });
        return this.answer(message);
      },
    };
    const outbox = new Outbox({
      ctx: { storage, waitUntil: (work: never) => this.background.push(work) } as never,
      alarm,
      log: { warn: (...line: unknown[]) => void this.warned.push(line) } as never,
      directory: hasDirectory ? (directory as never) : undefined,
    });
    return [outbox, alarm];
  }
}

/** The alarm of this session fires. Returns what is sent. */
async function woken(world: World, session: Listed): Promise<DirectoryMessage[]> {
  const resumed = world.outbox.resume(Date.now(), session);
  const sent = await world.told();
  await resumed;
  return sent;
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);
const fails = () => Promise.reject(new Error("the shard is down"));
const orders = ({ sent }: World) => sent.map(({ message }) => message.order);
const entryOf = ({ message }: Sent) => (message.op === "put" ? message.entry : undefined);

/** A world whose directory knows the session, by a row. */
async function known(first = changedAt(NOW)): Promise<World> {
  const world = new World();
  world.outbox.changed(first, Date.now());
  await world.told();
  expect(world.row).toMatchObject({ kind: "told" });
  return world;
}

describe("a session that was made", () => {
  it("is told of after a moment, as it was made, and costs no row and no alarm", async () => {
    const world = new World();
    world.outbox.made(listed(), NOW);
    await pass(SEND_DELAY_MS - 1);
    expect(world.sent).toEqual([]);
    await pass(1);
    const entry = { id: ID, type: "mcp", createdAt: NOW, expiresAt: NOW + TTL, subject: "alice" };
    expect(world.sent).toEqual([
      {
        message: { op: "put", entry, dropAt: dropTime(NOW + TTL, TTL), order: NOW },
        shardsThen: 2,
      },
    ]);
    await pass(TTL);
    expect([world.sent.length, world.row, world.disk.alarm]).toEqual([1, undefined, null]);
    expect(world.outbox.shards).toBe(2);
  });

  it("without a subject has none in its entry, and its lifetime bounds its deadline", async () => {
    const world = new World();
    const { subject: _, ...session } = listed({ maxLifetimeMs: 1000 }).session;
    world.outbox.made({ session, deadline: NOW + 1000 }, NOW);
    await world.told();
    expect(entryOf(world.last)).toStrictEqual({
      id: ID,
      type: "mcp",
      createdAt: NOW,
      expiresAt: NOW + 1000,
    });
  });

  it("is told of once more after a loss of memory, and then a row says so", async () => {
    const world = new World();
    world.outbox.made(listed(), NOW);
    await world.told();
    await world.evict();
    await pass(1000);
    world.outbox.changed(listed(), Date.now());
    expect(await world.told()).toMatchObject([{ op: "put", order: NOW }]);
    expect(world.row).toMatchObject({ kind: "told", order: NOW, shards: 2, ttlMs: TTL });
    await world.evict();
    world.outbox.changed(listed(), Date.now());
    expect(await world.told()).toEqual([]);
  });

  it("has a row where there are other shards now: its place may be another", async () => {
    const world = new World();
    world.shards = 5;
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(world.last.shardsThen).toBe(2);
    expect(world.row).toMatchObject({ kind: "told", shards: 5 });
    world.outbox.changed(changedAt(NOW + 1, { type: "sse" }), NOW + 1);
    await world.told();
    expect(world.last.shardsThen).toBe(5);
  });

  it("and was used before anybody heard of it is told of with its present deadline", async () => {
    const world = new World();
    const deadline = NOW + TTL + QUARTER + 1;
    world.outbox.changed(listed({}, deadline), NOW + QUARTER + 1);
    await world.told();
    expect(entryOf(world.last)).toMatchObject({ expiresAt: deadline });
  });
});

describe("a use", () => {
  it("is told once the deadline has moved by more than a quarter of the TTL", async () => {
    const world = new World();
    world.outbox.made(listed(), NOW);
    await world.told();
    await pass(QUARTER);
    world.outbox.changed(listed({}, NOW + TTL + QUARTER), Date.now());
    expect(await world.told()).toEqual([]);
    const now = Date.now();
    world.outbox.changed(listed({}, NOW + TTL + QUARTER + 1), now);
    const [message] = await world.told();
    expect(message).toMatchObject({
      op: "put",
      entry: { expiresAt: NOW + TTL + QUARTER + 1 },
      order: now + SEND_DELAY_MS,
    });
    expect(world.row).toMatchObject({ kind: "told", order: now + SEND_DELAY_MS });
  });

  it.each([
    ["that has grown", TTL, 2 * TTL],
    ["that has shrunk", 2 * TTL, TTL],
  ])("counts by the shorter of two TTLs, with one %s", async (_what, then, ttlMs) => {
    const world = await known(changedAt(NOW, { ttlMs: then }));
    const at = NOW + then;
    world.outbox.changed({ ...listed({ revision: 3, ttlMs }), deadline: at + QUARTER }, Date.now());
    expect(await world.told()).toEqual([]);
    world.outbox.changed(
      { ...listed({ revision: 3, ttlMs }), deadline: at + QUARTER + 1 },
      Date.now(),
    );
    expect(await world.told()).toHaveLength(1);
  });

  it("counts by the present TTL where an older version wrote the row", async () => {
    const world = await known();
    const { ttlMs: _, ...row } = world.row as { ttlMs: number };
    world.storage.kv.put("directory", row);
    await world.evict();
    world.outbox.changed(listed({ revision: 2 }, NOW + TTL + QUARTER), Date.now());
    expect(await world.told()).toEqual([]);
    world.outbox.changed(listed({ revision: 2 }, NOW + TTL + QUARTER + 1), Date.now());
    expect(await world.told()).toHaveLength(1);
  });
});

describe("a change", () => {
  it("is told at once, in a row, and not again in another life", async () => {
    const world = await known();
    const now = Date.now();
    world.outbox.changed(changedAt(now, { subject: "bob", movedAt: now }), now);
    expect(await world.told()).toMatchObject([{ op: "put", entry: { subject: "bob" } }]);
    await world.evict();
    world.outbox.changed(changedAt(now, { subject: "bob", movedAt: now }), Date.now());
    expect(await world.told()).toEqual([]);
  });

  it("that makes the session what it was is told too, under an order after it, whatever the clock says", async () => {
    const world = await known();
    const [order] = orders(world);
    const movedAt = order! + 60_000;
    world.outbox.changed(changedAt(NOW, { movedAt }), Date.now());
    expect(await world.told()).toMatchObject([{ op: "put", order: movedAt + 1 }]);
    expect(await world.told()).toEqual([]);
    // A row of that very time does not tell of it.
    world.outbox.changed(changedAt(NOW, { movedAt: movedAt + 1 }), Date.now());
    expect(await world.told()).toMatchObject([{ order: movedAt + 2 }]);
  });

  it("while a message is under way follows that one, with the orders of both in turn", async () => {
    const world = new World();
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    world.outbox.made(listed(), NOW);
    await world.told();
    world.outbox.changed(changedAt(NOW, { type: "sse", movedAt: NOW }), NOW);
    world.outbox.changed(changedAt(NOW, { subject: "bob", type: "sse", movedAt: NOW }), NOW);
    expect(await world.told()).toEqual([]);
    world.answer = () => TAKEN;
    under.resolve(TAKEN);
    await pass(0);
    expect(world.sent.map(entryOf)).toMatchObject([
      { type: "mcp", subject: "alice" },
      { type: "sse", subject: "bob" },
    ]);
    const [first, second] = orders(world);
    expect(second).toBeGreaterThan(first!);
    await world.outbox.settled();
  });

  it("has a later order than every one before, with the clock set back and in another life", async () => {
    const world = await known();
    const [order] = orders(world);
    vi.setSystemTime(NOW - 3_600_000);
    world.outbox.changed(changedAt(NOW, { type: "sse" }), Date.now());
    await world.told();
    world.outbox.changed(changedAt(NOW, { type: "mcp" }), Date.now());
    await world.told();
    await world.evict();
    world.outbox.changed(changedAt(NOW, { type: "sse" }), Date.now());
    await world.told();
    expect(orders(world)).toEqual([order, order! + 1, order! + 2, order! + 3]);
  });
});

describe("a shard that holds a later order", () => {
  it("is sent the message again, under one after it", async () => {
    const world = new World();
    const answers: Delivery[] = [{ kind: "superseded", by: NOW + 50_000 }, TAKEN];
    world.answer = () => answers.shift()!;
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(orders(world)).toEqual([NOW, NOW + 50_001]);
    expect(world.warned).toEqual([]);
  });

  it("of which the message says nothing new is passed by as well", async () => {
    const world = new World();
    const answers: Delivery[] = [{ kind: "superseded", by: NOW - 50_000 }, TAKEN];
    world.answer = () => answers.shift()!;
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(orders(world)).toEqual([NOW, NOW + 1]);
  });

  it("is sent it four times, and then it waits for a retry", async () => {
    const world = new World();
    world.answer = ({ order }) => ({ kind: "superseded", by: order + 10 });
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(orders(world)).toEqual([0, 11, 22, 33].map((more) => NOW + more));
    expect(world.warned).toMatchObject([
      ["directory.untold", { cause: expect.stringContaining("again and again") }],
    ]);
    expect(world.disk.alarm).toBe(Date.now() + FIRST_RESEND_MS);
  });
});

describe("a message that was not taken", () => {
  it("is sent again by the alarm, or by a use from then on and not before", async () => {
    const world = new World();
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    const failedAt = Date.now();
    expect(world.disk.alarm).toBe(failedAt + FIRST_RESEND_MS);
    expect(world.warned).toEqual([
      ["directory.untold", { untoldMs: SEND_DELAY_MS, cause: "Error: the shard is down" }],
    ]);
    world.outbox.changed(listed(), failedAt + FIRST_RESEND_MS - 1);
    expect(await world.told()).toEqual([]);
    world.answer = () => TAKEN;
    world.outbox.changed(listed(), failedAt + FIRST_RESEND_MS);
    expect(await world.told()).toHaveLength(1);
    // The alarm was for that alone.
    expect(world.disk.alarm).toBe(NOW + TTL);
    // The outbox does not move an alarm that another part sets after that.
    world.alarm.wakeBy(NOW + TTL / 2);
    world.outbox.changed(changedAt(NOW + 60_000, { type: "sse" }), NOW + 60_000);
    expect(await world.told()).toHaveLength(1);
    expect(world.disk.alarm).toBe(NOW + TTL / 2);
  });

  it("is counted, and work that the object has to stay in memory for", async () => {
    const counted = vi.spyOn(directoryUntold, "add");
    const world = new World();
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(counted).toHaveBeenCalledExactlyOnceWith(1);
    expect(world.background).toHaveLength(1);
    await expect(world.background[0]).resolves.toBeUndefined();
  });

  it("waits as long again as it has waited, up to five minutes", async () => {
    const world = new World();
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    const waits: number[] = [];
    for (let n = 0; n < 12; n++) {
      const now = world.disk.alarm!;
      await pass(now - Date.now());
      world.alarm.fired();
      const resumed = world.outbox.resume(Date.now(), listed());
      await pass(SEND_DELAY_MS);
      await resumed;
      waits.push(world.disk.alarm! - Date.now());
    }
    expect(waits[0]).toBe(FIRST_RESEND_MS + 2 * SEND_DELAY_MS);
    for (const [n, wait] of waits.entries()) {
      const before = waits[n - 1] ?? 0;
      expect(wait).toBeLessThanOrEqual(LONGEST_RESEND_MS);
      if (wait < LONGEST_RESEND_MS) expect(wait).toBeGreaterThan(before);
    }
    expect(waits.at(-1)).toBe(LONGEST_RESEND_MS);
  });

  it("leaves an alarm that comes earlier, and takes none back that is not its own", async () => {
    const world = new World();
    world.alarm.wakeBy(NOW + 100);
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    expect(world.disk.alarm).toBe(NOW + 100);
    const other = new World();
    other.alarm.wakeBy(NOW + TTL / 2);
    other.outbox.made(listed(), NOW);
    await other.told();
    expect(other.disk.alarm).toBe(NOW + TTL / 2);
  });

  it("keeps its alarm while more waits", async () => {
    const world = new World();
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    const alarm = world.disk.alarm!;
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    await pass(FIRST_RESEND_MS);
    world.outbox.changed(listed(), Date.now());
    await world.told();
    world.outbox.changed(changedAt(Date.now(), { type: "sse", movedAt: Date.now() }), Date.now());
    world.answer = fails;
    under.resolve(TAKEN);
    await pass(0);
    expect(world.sent).toHaveLength(3);
    expect(world.disk.alarm).toBe(alarm);
  });

  it("is counted since the change, or since the last message where only the deadline has moved", async () => {
    const world = await known();
    const [order] = orders(world);
    world.answer = fails;
    await pass(QUARTER + 1000);
    world.outbox.changed(listed({ revision: 2 }, Date.now() + TTL), Date.now());
    await world.told();
    const since = ([, line]: readonly unknown[]) => (line as { untoldMs: number }).untoldMs;
    expect(since(world.warned[0] as never)).toBe(Date.now() - order!);
    await world.evict();
    const now = Date.now();
    world.outbox.changed(changedAt(now, { type: "sse" }), now);
    await world.told();
    expect(since(world.warned[1] as never)).toBe(SEND_DELAY_MS);
  });
});

describe("an alarm", () => {
  it("sends what waits, whenever the next try was to be, and resolves when the try is over", async () => {
    const world = new World();
    world.answer = fails;
    world.outbox.made(listed(), NOW);
    await world.told();
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    let isOver = false;
    void world.outbox.resume(Date.now(), listed()).then(() => (isOver = true));
    await world.told();
    expect([world.sent.length, isOver]).toEqual([2, false]);
    under.resolve(TAKEN);
    await pass(0);
    expect(isOver).toBe(true);
  });

  it("sends nothing where nothing waits, and sets no other", async () => {
    const world = await known();
    world.alarm.fired();
    await world.outbox.resume(Date.now(), changedAt(NOW));
    expect([await world.told(), world.disk.alarm]).toEqual([[], null]);
    const empty = new World();
    await empty.outbox.resume(NOW);
    expect([await empty.told(), empty.disk.alarm]).toEqual([[], null]);
  });

  it("writes a row of what it has sent", async () => {
    const world = await known();
    await pass(TTL);
    const session = listed({ revision: 2 }, Date.now() + QUARTER + 2);
    world.alarm.fired();
    world.alarm.wakeBy(session.deadline);
    expect(await woken(world, session)).toHaveLength(1);
    expect(world.row).toMatchObject({ order: Date.now(), entry: { expiresAt: session.deadline } });
    expect(world.disk.alarm).toBe(session.deadline);
  });
});

describe("a session that is held open", () => {
  const RENEWS: Delivery = { kind: "taken", renews: true };

  /** As its alarm, or a use, finds it. */
  const held = (more: Partial<Listed["session"]> = {}): Listed => {
    const now = Date.now();
    const session = listed({ revision: 2, ...more });
    return { ...session, deadline: now + session.session.ttlMs, heldAt: now };
  };
  const released = (): Listed => listed({ revision: 2 }, Date.now() + TTL);
  const renewalOf = (message: DirectoryMessage | undefined) =>
    message?.op === "put" ? message.renewal : undefined;

  /** A world whose shard renews its entry, since the alarm at `NOW + TTL`. */
  async function renewing(more: Partial<Listed["session"]> = {}): Promise<World> {
    const world = await known(changedAt(NOW, more));
    world.answer = ({ op, ...put }) => (op === "put" && "renewal" in put ? RENEWS : TAKEN);
    vi.setSystemTime(NOW + TTL);
    expect(await woken(world, held(more))).toHaveLength(1);
    return world;
  }

  it("has an entry that renews itself for a day, once its alarm finds that it must be told of", async () => {
    const world = await renewing();
    const until = NOW + TTL + RENEWED_FOR_MS;
    expect(world.last.message).toEqual({
      op: "put",
      entry: { ...entryOf(world.last), expiresAt: NOW + 2 * TTL },
      dropAt: dropTime(until, TTL),
      renewal: { everyMs: TTL, until },
      order: NOW + TTL + SEND_DELAY_MS,
    });
    expect(world.row).toMatchObject({ kind: "told", renewMs: TTL, entry: { expiresAt: until } });
  });

  it("is told of once a day, in whichever lives, and by nothing between", async () => {
    const world = await renewing();
    const told: number[] = [];
    for (let n = 2; n <= 110; n++) {
      await world.evict();
      vi.setSystemTime(NOW + n * TTL);
      const sent = await woken(world, held());
      // A use, and another reader.
      world.outbox.changed(held(), Date.now());
      sent.push(...(await world.told()));
      if (sent.length > 0) told.push(n);
      expect(sent.map(renewalOf)).toEqual(
        sent.map(() => expect.objectContaining({ everyMs: TTL })),
      );
    }
    // A day has 54 of these TTLs.
    expect(told).toEqual([55, 109]);
  });

  it.each([
    ["leaves", released],
    ["comes to a session whose object was lost with its readers", released],
    ["finds its lifetime shortened", () => held({ maxLifetimeMs: 5 * TTL })],
    ["finds a longer TTL", () => held({ ttlMs: 1.5 * TTL })],
    ["finds another owner", () => held({ subject: "bob" })],
    ["finds the clock set back", () => (vi.setSystemTime(NOW), held())],
  ])("is told of with its fixed deadline where a reader %s", async (_what, found) => {
    const world = await renewing();
    await world.evict();
    vi.setSystemTime(NOW + 1.1 * TTL);
    const session = found();
    world.outbox.changed(session, Date.now());
    expect(await world.told()).toMatchObject([
      {
        entry: { expiresAt: session.deadline },
        dropAt: dropTime(session.deadline, session.session.ttlMs),
      },
    ]);
    expect(renewalOf(world.last.message)).toBeUndefined();
    expect(world.row).not.toHaveProperty("renewMs");
    await world.evict();
    world.outbox.changed(session, Date.now());
    expect(await world.told()).toEqual([]);
  });

  it("is told of as it is by the time that a message arrives", async () => {
    const world = await known();
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    vi.setSystemTime(NOW + TTL);
    const first = woken(world, held());
    await pass(SEND_DELAY_MS);
    world.outbox.changed(released(), Date.now());
    world.answer = () => TAKEN;
    under.resolve(RENEWS);
    await first;
    expect(world.sent.slice(1).map(({ message }) => renewalOf(message))).toEqual([
      { everyMs: TTL, until: NOW + TTL + RENEWED_FOR_MS },
      undefined,
    ]);
    expect(world.row).not.toHaveProperty("renewMs");
  });

  it("is not told of again where a message takes longer to arrive than its deadline may move", async () => {
    const world = await known();
    world.answer = async () => {
      await pass(QUARTER + 1);
      return RENEWS;
    };
    vi.setSystemTime(NOW + TTL);
    expect(await woken(world, held())).toHaveLength(1);
  });

  it("is told of by each alarm while its shard is of an older version, which takes the entry alone", async () => {
    const world = await known();
    for (let n = 1; n <= 3; n++) {
      vi.setSystemTime(NOW + n * TTL);
      expect(await woken(world, held())).toMatchObject([
        { entry: { expiresAt: Date.now() - SEND_DELAY_MS + TTL } },
      ]);
      expect(world.row).toMatchObject({ entry: { expiresAt: Date.now() - SEND_DELAY_MS + TTL } });
      expect(world.row).not.toHaveProperty("renewMs");
    }
  });

  it("renews its entry no further than its lifetime goes", async () => {
    const world = await renewing({ maxLifetimeMs: 3.5 * TTL });
    const until = NOW + 3.5 * TTL;
    expect(renewalOf(world.last.message)).toEqual({ everyMs: TTL, until });
    vi.setSystemTime(NOW + 3 * TTL);
    const last = { ...held({ maxLifetimeMs: 3.5 * TTL }), deadline: until };
    expect(await woken(world, last)).toEqual([]);
  });

  it.each([
    ["whose TTL is a day", RENEWED_FOR_MS, 0],
    ["whose deadline is the end of its lifetime", TTL, 2 * TTL],
  ])("does not renew the entry of one %s", async (_what, ttlMs, maxLifetimeMs) => {
    const more = { ttlMs, maxLifetimeMs };
    const world = await known(changedAt(NOW, more));
    vi.setSystemTime(NOW + ttlMs);
    expect((await woken(world, held(more))).map(renewalOf)).toEqual([undefined]);
  });

  it("does not begin to renew its entry at a use: its client may come and go", async () => {
    const world = await known();
    await pass(QUARTER + 1);
    world.outbox.changed(held(), Date.now());
    expect((await world.told()).map(renewalOf)).toEqual([undefined]);
    // The alarm finds that the directory knows.
    vi.setSystemTime(NOW + TTL);
    expect(await woken(world, held())).toHaveLength(1);
  });
});

describe("the end of a session", () => {
  /** Something of the session that only its end clears. */
  const fill = ({ storage }: World) => {
    storage.kv.put("session", { a: 1 });
    storage.kv.put("zebra", 1);
    storage.sql.exec("CREATE TABLE events (seq INTEGER)");
    storage.sql.exec("INSERT INTO events VALUES (1)");
  };
  const left = ({ storage }: World) => Array.from(storage.kv.list(), ([key]) => key);

  it("leaves what the directory has yet to hear, and nothing once it has heard", async () => {
    const world = await known();
    const [order] = orders(world);
    fill(world);
    const now = Date.now();
    world.outbox.ended(listed().session, now);
    expect(left(world)).toEqual(["directory"]);
    expect(world.disk.rows()["events"]).toEqual([]);
    expect(world.row).toEqual({ kind: "ended", id: ID, at: now, order, shards: 2 });
    expect(world.disk.alarm).toBe(now + FIRST_RESEND_MS);
    expect(await world.told()).toEqual([{ op: "remove", id: ID, order: now + SEND_DELAY_MS }]);
    expect(world.last.shardsThen).toBe(2);
    expect([left(world), world.disk.alarm, world.disk.rows()["events"]]).toEqual([
      [],
      null,
      undefined,
    ]);
    // The outbox remembers nothing of it.
    await world.outbox.resume(Date.now());
    expect(await world.told()).toEqual([]);
    const later = Date.now();
    world.alarm.wakeBy(later + TTL / 2);
    const again = { createdAt: later, updatedAt: later };
    world.outbox.made(listed(again, later + TTL), later);
    expect(await world.told()).toHaveLength(1);
    expect(world.disk.alarm).toBe(later + TTL / 2);
  });

  it("of a session without a row takes its shards from when it was made, and none where that is not known", async () => {
    const world = new World();
    world.outbox.ended(listed({ shards: 7 }).session, NOW);
    expect(world.row).toEqual({ kind: "ended", id: ID, at: NOW, order: NOW, shards: 7 });
    const older = new World();
    const { shards: _, ...session } = listed().session;
    older.outbox.ended(session, NOW);
    expect(older.row).toEqual({ kind: "ended", id: ID, at: NOW, order: NOW });
    await world.told();
    expect(older.last.shardsThen).toBeUndefined();
  });

  it("has a later order than all messages before, with the clock set back", async () => {
    const world = new World();
    world.outbox.made(listed(), NOW);
    await world.told();
    vi.setSystemTime(NOW - 3_600_000);
    world.outbox.ended(listed().session, Date.now());
    await world.told();
    expect(orders(world)).toEqual([NOW, NOW + 1]);
    const lost = new World();
    lost.outbox.ended(listed().session, Date.now());
    await lost.told();
    expect(orders(lost)).toEqual([NOW + 1]);
  });

  it("while a put is under way is told after it, and that put's answer does not hide it", async () => {
    const world = new World();
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    world.outbox.made(listed(), NOW);
    await world.told();
    world.outbox.ended(listed().session, Date.now());
    world.answer = fails;
    under.resolve(TAKEN);
    await pass(0);
    expect(world.row).toMatchObject({ kind: "ended" });
    expect(world.sent.map(({ message }) => message.op)).toEqual(["put", "remove"]);
  });

  it("that is not heard is told by the alarm, in whichever life, until it is", async () => {
    const world = await known();
    world.answer = fails;
    const endedAt = Date.now();
    world.outbox.ended(listed().session, endedAt);
    await world.told();
    expect(world.warned).toHaveLength(1);
    await world.evict();
    await pass(5000);
    world.alarm.fired();
    const now = Date.now();
    const resumed = world.outbox.resume(now);
    // It is set before the directory is told: if the object dies meanwhile, the alarm goes on.
    expect(world.disk.alarm).toBe(now + (now - endedAt));
    await world.told();
    await resumed;
    expect(world.warned).toHaveLength(2);
    world.answer = () => TAKEN;
    world.alarm.fired();
    const again = world.outbox.resume(Date.now());
    await world.told();
    await again;
    expect([left(world), world.disk.alarm]).toEqual([[], null]);
  });

  it("is done with once it is heard: the alarm of a session that is made again is not its own", async () => {
    const world = await known();
    world.outbox.ended(listed().session, Date.now());
    await world.told();
    expect(world.disk.left).toEqual([]);
    const now = Date.now();
    world.alarm.wakeBy(now + 100);
    world.outbox.made(changedAt(now), now);
    expect(await world.told()).toMatchObject([{ op: "put" }]);
    expect(world.disk.alarm).toBe(now + 100);
  });

  it("is forgotten where the session is made again while it is told, and the new one is told after it", async () => {
    const world = await known();
    const under = Promise.withResolvers<Delivery>();
    world.answer = () => under.promise;
    world.outbox.ended(listed().session, Date.now());
    await world.told();
    const now = Date.now();
    const again = listed({ createdAt: now, updatedAt: now }, now + TTL);
    world.storage.kv.put("session", { again: true });
    world.outbox.made(again, now);
    world.answer = () => TAKEN;
    under.resolve(TAKEN);
    await pass(0);
    expect(world.storage.kv.get("session")).toEqual({ again: true });
    expect(world.sent.slice(1).map(({ message }) => message.op)).toEqual(["remove", "put"]);
    const [, removal, put] = orders(world);
    expect(put).toBeGreaterThan(removal!);
    // The trace of the end is overwritten, although the session is as it was made.
    expect(world.row).toMatchObject({ kind: "told", entry: { createdAt: now } });
    expect(world.disk.alarm).toBe(now + TTL);
  });
});

describe("without a directory", () => {
  it("nothing is sent or stored, and the end empties the storage at once", async () => {
    const world = new World(false);
    world.outbox.made(listed(), NOW);
    world.outbox.changed(changedAt(NOW + 1), NOW + 1);
    expect([await world.told(), world.background]).toEqual([[], []]);
    world.storage.kv.put("session", 1);
    world.alarm.wakeBy(NOW + TTL);
    expect(world.outbox.shards).toBeUndefined();
    world.outbox.ended(listed().session, Date.now());
    expect([Array.from(world.storage.kv.list()), world.disk.alarm]).toEqual([[], null]);
    await world.outbox.settled();
    const empty = new World(false);
    await expect(empty.outbox.resume(NOW)).resolves.toBeUndefined();
  });

  it("an end that an earlier one was to hear of is forgotten, and a session that lives stays", async () => {
    const world = await known();
    world.answer = fails;
    world.outbox.ended(listed().session, Date.now());
    await world.told();
    await world.evict(false);
    await world.outbox.resume(Date.now());
    expect([world.row, world.disk.alarm]).toEqual([undefined, null]);
    const living = await known();
    await living.evict(false);
    await living.outbox.resume(Date.now(), changedAt(NOW));
    await living.outbox.resume(Date.now());
    expect(living.row).toMatchObject({ kind: "told" });
  });
});
