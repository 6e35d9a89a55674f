/** The steps of a session's life: what each stores, when the object wakes, what the directory is told, and in which order. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { AlarmClock } from "../../../src/alarm-clock.ts";
import { creditUse } from "../../../src/core/expiry.ts";
import type { SessionContent } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";
import {
  LONGEST_RESEND_MS,
  MAX_METADATA_KEYS,
  OWN_ALARM_AFTER_TRIES,
} from "../../../src/core/limits.ts";
import type { Listed } from "../../../src/directory/outbox.ts";
import { Lifecycle } from "../../../src/session/lifecycle.ts";
import { RecordStore, type StoredSession } from "../../../src/session/record.ts";
import { awake, AWAKE_MS } from "../../../src/signals/awake.ts";
import { sessionsEnded } from "../../../src/signals/metrics.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";
import { ObjectStorage, type Life } from "../../support/object-storage.ts";

const NOW = Date.UTC(2100, 0, 1);
const TTL = 1_600_000;
const ID = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55" as SessionId;
const CONTENT: SessionContent = {
  type: "mcp",
  metadata: { a: "b" },
  ttlMs: TTL,
  maxLifetimeMs: 0,
  subject: "alice",
};
const TOO_MANY = Object.fromEntries(
  Array.from({ length: MAX_METADATA_KEYS + 1 }, (_, n) => [n, ""]),
);
const ALICE = { subject: "alice", admin: false };
const BOB = { subject: "bob", admin: false };

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** The things that hold the session open, and the time at which its own server wants to be woken. */
interface Situation {
  reader: boolean;
  exchange: boolean;
  waiter: boolean;
  busy: boolean;
  ownWakeAt: number;
}

class World {
  readonly disk = new ObjectStorage();
  /** The calls that the session made to its parts, in turn. */
  readonly done: string[] = [];
  /** The sessions that the outbox was given, each with its deadline. */
  readonly listed: (Listed | undefined)[] = [];
  readonly holds: Situation = {
    reader: false,
    exchange: false,
    waiter: false,
    busy: false,
    ownWakeAt: Infinity,
  };
  readonly lines: unknown[][] = [];
  shards: number | undefined = 3;
  frames: unknown[] = [];
  headers: unknown;
  readers = 0;
  ownWake = (_at: number): Promise<void> => Promise.resolve();
  sync = (): Promise<void> => Promise.resolve();
  one: Lifecycle;
  #life: Life;

  constructor() {
    this.#life = this.disk.open();
    this.one = this.#load();
  }

  evict(): Lifecycle {
    this.#life.end();
    this.#life = this.disk.open();
    this.one = this.#load();
    return this.one;
  }

  get storage(): DurableObjectStorage {
    return this.#life.storage;
  }

  get usedUntil(): unknown {
    return this.storage.kv.get("used-until");
  }

  /** Takes the calls since the last look. */
  since(): string[] {
    return this.done.splice(0);
  }

  make(more: Partial<SessionContent> = {}, now = NOW) {
    const made = this.one.make(ID, { ...CONTENT, ...more }, now);
    this.since();
    return made;
  }

  #load(): Lifecycle {
    const { storage } = this.#life;
    const { holds } = this;
    const saved = <T>(name: string, value: T): T => {
      this.done.push(name);
      return value;
    };
    const world = (): World => this;
    const records = new RecordStore(storage);
    const spied = {
      loadSession: () => saved("reads the record", records.loadSession()),
      loadOwner: () => saved("reads the owner", records.loadOwner()),
      loadUsedUntil: (record: StoredSession) => records.loadUsedUntil(record),
      saveSession: (record: StoredSession) =>
        saved("stores the record", records.saveSession(record)),
      saveUsedUntil: (at: number) => saved("stores a use", records.saveUsedUntil(at)),
    };
    const clock = new AlarmClock(storage);
    const alarm = {
      wakeBy: (at: number) => saved(`wakes by ${at - NOW}`, clock.wakeBy(at)),
      moveTo: (at: number) => saved(`wakes at ${at - NOW}`, clock.moveTo(at)),
      fired: () => saved("the alarm has fired", clock.fired()),
    };
    const tell = (what: string) => (listed: Listed | undefined) =>
      saved(`the directory: ${what}`, void this.listed.push(listed));
    const outbox = {
      get shards() {
        return world().shards;
      },
      made: tell("made"),
      changed: tell("changed"),
      ended: (session: unknown) => {
        this.frames = [session];
        storage.kv.delete("session");
        return saved("the directory: ended", undefined);
      },
      resume: async (now: number, listed?: Listed) =>
        saved(`the directory: resume ${now - NOW}`, void this.listed.push(listed)),
      settled: async () => saved("the directory: settled", undefined),
    };
    const parts = {
      ctx: {
        storage: { sync: () => saved("is durable", this.sync()) },
        blockConcurrencyWhile: (work: () => Promise<unknown>) => work(),
        waitUntil: () => undefined,
      },
      records: spied,
      alarm,
      outbox,
      channel: {
        storage,
        limits: { logMaxEvents: 10, logMaxBytes: 1000, streamBufferBytes: 1000 },
        subscribers: {
          get isEmpty() {
            return !holds.reader;
          },
          count: () => 0,
          closeAll: (code: number, frame?: Uint8Array) => {
            saved(`closes the readers by ${code}`, undefined);
            this.frames.push(frame && new TextDecoder().decode(frame));
            return this.readers;
          },
        },
      },
      waiters: {
        get isEmpty() {
          return !holds.waiter;
        },
        notifyAll: () => saved("answers those who wait for events", undefined),
      },
      gateway: {
        get isWaiting() {
          return holds.exchange;
        },
        get isBusy() {
          return holds.busy;
        },
        openExchanges: 4,
        own: {
          get wakeAt() {
            return holds.ownWakeAt;
          },
          wake: async (at: number) => saved(`wakes the server ${at - NOW}`, await this.ownWake(at)),
        },
        loaded: ({ id }: { id: string }) => saved(`the gateway has ${id}`, undefined),
        waiting: () => () => saved("answers the calls that wait", undefined),
        silence: (metadata: unknown, headers: unknown) => {
          this.headers = [metadata, headers];
          return async () => saved("ends the exchanges", undefined);
        },
      },
      tasks: {
        takeUp: () => saved("a task is taken up", undefined),
        farewell: () => () => saved("ends the task", undefined),
        wake: (at: number) => saved(`wakes the task ${at - NOW}`, undefined),
      },
      log: {
        debug: (...line: unknown[]) => void this.lines.push(line),
        info: (...line: unknown[]) => void this.lines.push(line),
      },
    };
    return new Lifecycle(parts as unknown as ConstructorParameters<typeof Lifecycle>[0]);
  }
}

const sessionIn = ({ one }: World, now: number) => one.load(now)!;
const recordIn = (world: World) => world.storage.kv.get("session") as StoredSession;

describe("looking for the session", () => {
  it("reads it once in a life, tells the gateway of it, and remembers that there is none", () => {
    const world = new World();
    expect([world.one.load(NOW), world.one.load(NOW), world.one.live(NOW)]).toEqual([
      null,
      null,
      null,
    ]);
    expect(world.since()).toEqual(["reads the record"]);
    world.make();
    world.evict();
    const session = world.one.load(NOW);
    expect(world.one.load(NOW)).toBe(session);
    expect(session?.record).toMatchObject({ id: ID, subject: "alice" });
    expect(world.since()).toEqual([
      "reads the record",
      `the gateway has ${ID}`,
      "a task is taken up",
    ]);
  });

  it("of another owner reads the owner alone, and what is in memory not at all", () => {
    const world = new World();
    world.make();
    expect(world.one.owned(BOB, NOW)).toBeNull();
    expect(world.one.owned(ALICE, NOW)?.record.id).toBe(ID);
    expect(world.since()).toEqual([]);
    world.evict();
    expect(world.one.owned(BOB, NOW)).toBeNull();
    expect(world.since()).toEqual(["reads the owner"]);
    expect(world.one.owned(ALICE, NOW)?.record.id).toBe(ID);
    expect(world.one.owned({ admin: true }, NOW)?.record.id).toBe(ID);
  });

  it("finds it up to its deadline, and ends it from then on, although no alarm has fired", async () => {
    const world = new World();
    world.make();
    expect(world.one.live(NOW + TTL - 1)?.record.id).toBe(ID);
    expect(world.since()).toEqual([]);
    expect(world.one.live(NOW + TTL)).toBeNull();
    await vi.advanceTimersByTimeAsync(0);
    expect(world.since().slice(0, 2)).toEqual(["the directory: ended", "is durable"]);
    expect(world.one.live(NOW + TTL)).toBeNull();
    expect(world.since()).toEqual([]);
  });

  it.each(["reader", "exchange", "waiter"] as const)(
    "finds it for as long as a %s holds it open, up to its lifetime",
    (holder) => {
      const world = new World();
      world.make({ maxLifetimeMs: 3 * TTL });
      world.holds[holder] = true;
      expect(world.one.live(NOW + 3 * TTL - 1)?.record.id).toBe(ID);
      expect(world.one.live(NOW + 3 * TTL)).toBeNull();
    },
  );

  it("shows that the object is in memory for a moment, or for as long as the gateway keeps it there", () => {
    const others = awake.count(NOW);
    const world = new World();
    expect([world.one.isAwake(NOW), awake.count(NOW)]).toEqual([false, others]);
    world.make();
    expect(awake.count(NOW)).toBe(others + 1);
    expect([AWAKE_MS - 1, AWAKE_MS].map((ms) => world.one.isAwake(NOW + ms))).toEqual([
      true,
      false,
    ]);
    world.holds.busy = true;
    expect(world.one.isAwake(NOW + AWAKE_MS)).toBe(true);
    world.holds.busy = false;
    world.one.load(NOW + AWAKE_MS);
    expect(world.one.isAwake(NOW + 2 * AWAKE_MS - 1)).toBe(true);
    expect(world.one.openExchanges).toBe(4);
    const empty = new World();
    empty.one.load(NOW);
    expect(empty.one.isAwake(NOW)).toBe(false);
  });
});

describe("a session that is made", () => {
  it("is stored, told of and wakes the object at its deadline, and is what its caller is shown", () => {
    const world = new World();
    const made = world.one.make(ID, CONTENT, NOW);
    expect(made).toMatchObject({
      ok: true,
      value: { id: ID, createdAt: NOW, expiresAt: NOW + TTL, writers: 0, metadata: { a: "b" } },
    });
    expect(world.since()).toEqual(["stores the record", "the directory: made", `wakes by ${TTL}`]);
    expect(recordIn(world)).toMatchObject({ id: ID, revision: 1, shards: 3 });
    expect(world.listed).toMatchObject([{ session: { id: ID, revision: 1 }, deadline: NOW + TTL }]);
    expect(world.one.live(NOW)?.record.id).toBe(ID);
    // No use is stored: it counts from when it was made.
    expect(world.usedUntil).toBeUndefined();
  });

  it("with too much content is refused, and leaves nothing", () => {
    const world = new World();
    const made = world.one.make(ID, { ...CONTENT, metadata: TOO_MANY }, NOW);
    expect(made).toMatchObject({ ok: false, code: "invalid_request" });
    expect(world.since()).toEqual([]);
    expect(world.one.load(NOW)).toBeNull();
  });
});

describe("a use", () => {
  it("writes a row only beyond the credit, and makes the deadline exact all the same", () => {
    const world = new World();
    world.make();
    const session = sessionIn(world, NOW);
    const credit = TTL / 16;
    expect(world.one.touch(session, NOW)).toBe(NOW + TTL);
    expect(world.since()).toEqual(["the directory: changed"]);
    expect(world.one.touch(session, NOW + 1)).toBe(NOW + 1 + TTL);
    expect(world.since()).toEqual(["stores a use", "the directory: changed"]);
    expect(world.usedUntil).toBe(NOW + 1 + credit);
    expect(world.one.touch(session, NOW + 1 + credit)).toBe(NOW + 1 + credit + TTL);
    expect(world.since()).toEqual(["the directory: changed"]);
    expect(world.one.touch(session, NOW + 2 + credit)).toBe(NOW + 2 + credit + TTL);
    expect(world.since()).toEqual(["stores a use", "the directory: changed"]);
    expect(world.listed.at(-1)).toMatchObject({ deadline: NOW + 2 + credit + TTL });
    // A clock that is set back takes nothing away.
    expect(world.one.touch(session, NOW)).toBe(NOW + 2 + credit + TTL);
    expect(world.since()).toEqual(["the directory: changed"]);
  });

  it("by what holds the session open is credited up to a TTL ahead, and taken back with its end", () => {
    const world = new World();
    world.make();
    const session = sessionIn(world, NOW);
    world.holds.reader = true;
    world.one.hold(session, NOW + 5);
    expect([world.since(), world.usedUntil]).toEqual([
      ["stores a use", "the directory: changed"],
      NOW + 5 + TTL,
    ]);
    expect(session.use.at).toBe(NOW + 5);
    world.one.hold(session, NOW + 5);
    expect(world.since()).toEqual(["the directory: changed"]);
    world.holds.waiter = true;
    world.holds.reader = false;
    world.one.release(NOW + 10);
    expect(world.since()).toEqual([]);
    world.holds.waiter = false;
    world.one.release(NOW + 20);
    expect([world.since(), world.usedUntil]).toEqual([
      ["stores a use", "the directory: changed"],
      NOW + 20,
    ]);
    expect(world.listed.at(-1)).toMatchObject({ deadline: NOW + 20 + TTL });
    // The directory hears what holds it open.
    expect(world.listed.map((listed) => listed?.heldAt)).toEqual([
      undefined,
      NOW + 5,
      NOW + 5,
      undefined,
    ]);
    expect(world.one.live(NOW + 20 + TTL - 1)).not.toBeNull();
    expect(world.evict().live(NOW + 20 + TTL)).toBeNull();
  });

  it("that ends takes no credit back that is no longer than one of a use", () => {
    const world = new World();
    world.make();
    world.one.touch(sessionIn(world, NOW), NOW + 1);
    const usedUntil = creditUse(NOW + 1, TTL);
    world.since();
    world.one.release(NOW + 1);
    expect([world.since(), world.usedUntil]).toEqual([["the directory: changed"], usedUntil]);
    world.one.release(NOW);
    expect([world.since(), world.usedUntil]).toEqual([
      ["stores a use", "the directory: changed"],
      NOW,
    ]);
  });

  it("that ends after its session is nothing", () => {
    const world = new World();
    world.one.release(NOW);
    expect(world.since()).toEqual(["reads the record"]);
  });

  it("is known to another life by its credit, and never as one to come", () => {
    const world = new World();
    world.make();
    world.one.touch(sessionIn(world, NOW), NOW + 1);
    const credit = TTL / 16;
    const early = world.evict();
    expect(early.live(NOW + 2)?.use.at).toBe(NOW + 2);
    const late = world.evict();
    expect(late.live(NOW + TTL)?.use.at).toBe(NOW + 1 + credit);
    expect(late.live(NOW + 1 + credit + TTL - 1)).not.toBeNull();
    expect(late.live(NOW + 1 + credit + TTL)).toBeNull();
  });
});

describe("a change", () => {
  const change = (world: World, more: Partial<StoredSession>, now: number) => {
    const session = sessionIn(world, now);
    return world.one.change(session, { ...session.record, ...more }, now);
  };

  it("is stored under the next revision, is a use, and leaves the alarm where the deadline is later", () => {
    const world = new World();
    world.make();
    expect(change(world, { metadata: { c: "d" } }, NOW + 7)).toMatchObject({
      ok: true,
      value: { updatedAt: NOW + 7, expiresAt: NOW + 7 + TTL, metadata: { c: "d" } },
    });
    expect(world.since()).toEqual(["stores the record", "stores a use", "the directory: changed"]);
    expect(recordIn(world)).toMatchObject({ revision: 2, updatedAt: NOW + 7, createdAt: NOW });
    expect(recordIn(world).movedAt).toBeUndefined();
    expect(world.listed.at(-1)).toMatchObject({
      session: { revision: 2 },
      deadline: NOW + 7 + TTL,
    });
    world.one.touch(sessionIn(world, NOW), NOW + 8);
    world.since();
    change(world, {}, NOW + 8);
    expect(recordIn(world).revision).toBe(3);
    // The deadline is the same.
    expect(world.since()).toEqual(["stores the record", "the directory: changed"]);
  });

  it("to a lifetime that is over already makes the object end the session at once", () => {
    const world = new World();
    world.make();
    expect(change(world, { maxLifetimeMs: 5 }, NOW + 7)).toMatchObject({
      value: { expiresAt: NOW + 7 },
    });
    expect(world.since().at(-1)).toBe("wakes by 7");
    expect(world.one.live(NOW + 7)).toBeNull();
  });

  it.each<[what: string, more: Partial<StoredSession>]>([
    ["type", { type: "sse" }],
    ["owner", { subject: "bob" }],
  ])("of its %s says when, and later changes keep that", (_what, more) => {
    const world = new World();
    world.make();
    change(world, more, NOW + 7);
    expect(recordIn(world).movedAt).toBe(NOW + 7);
    change(world, { metadata: {} }, NOW + 9);
    expect(recordIn(world).movedAt).toBe(NOW + 7);
  });

  it("that makes the deadline earlier moves the alarm, and takes the credit back", () => {
    const world = new World();
    world.make();
    world.one.touch(sessionIn(world, NOW), NOW + 1);
    world.since();
    change(world, { ttlMs: 32_000 }, NOW + 10);
    expect(world.since()).toEqual([
      "stores the record",
      "stores a use",
      "the directory: changed",
      `wakes by ${10 + 32_000}`,
    ]);
    expect(world.usedUntil).toBe(NOW + 10);
    expect(world.evict().live(NOW + 10 + 32_000)).toBeNull();
  });

  it("to a shorter TTL keeps the credit of what holds the session open", () => {
    const world = new World();
    world.make();
    world.holds.reader = true;
    world.one.hold(sessionIn(world, NOW), NOW);
    change(world, { ttlMs: 32_000 }, NOW + 10);
    expect(world.usedUntil).toBe(NOW + 10 + 32_000);
  });

  it("to the same TTL takes no credit back", () => {
    const world = new World();
    world.make();
    world.holds.reader = true;
    world.one.hold(sessionIn(world, NOW), NOW);
    world.holds.reader = false;
    change(world, { metadata: {} }, NOW + 10);
    expect(world.usedUntil).toBe(NOW + TTL);
  });

  it("to too much content is refused, and changes nothing", () => {
    const world = new World();
    world.make();
    const before = sessionIn(world, NOW).record;
    expect(change(world, { metadata: TOO_MANY }, NOW + 7)).toMatchObject({
      ok: false,
      code: "invalid_request",
    });
    expect([world.since(), sessionIn(world, NOW).record]).toEqual([[], before]);
  });
});

describe("the end", () => {
  it("is told to everybody once it is durable, with a last frame, a count and a line for each reader", async () => {
    const world = new World();
    world.make({ maxLifetimeMs: 1 });
    world.readers = 2;
    const ended = vi.spyOn(sessionsEnded, "add");
    const session = sessionIn(world, NOW);
    await world.one.end(session, "deleted", NOW, { authorization: "x" });
    const done = world.since();
    expect(done.slice(0, 2)).toEqual(["the directory: ended", "is durable"]);
    expect(done.slice(2).toSorted()).toEqual([
      "answers the calls that wait",
      "answers those who wait for events",
      "closes the readers by 4000",
      "ends the exchanges",
      "ends the task",
    ]);
    // The calls that wait for the client get their error before their stream is closed.
    expect(done.indexOf("answers the calls that wait")).toBeLessThan(
      done.indexOf("closes the readers by 4000"),
    );
    expect(world.frames).toEqual([
      session.record,
      encodeFrame({ event: "deleted", data: JSON.stringify({ id: ID }) }),
    ]);
    expect(world.headers).toEqual([{ a: "b" }, { authorization: "x" }]);
    expect(ended).toHaveBeenCalledExactlyOnceWith(1, "deleted");
    expect(world.lines).toEqual([
      ["writer.leave", { session: ID, code: 4000, writers: 1 }],
      ["writer.leave", { session: ID, code: 4000, writers: 0 }],
      ["session.deleted", { session: expect.not.stringContaining(ID) }],
    ]);
    expect(world.one.load(NOW)).toBeNull();
    expect(world.since()).toEqual([]);
  });

  it("of the streams alone closes them by a code of its own, without a last frame", async () => {
    const world = new World();
    world.make();
    await world.one.endStreams();
    expect(world.since()).toEqual([
      "is durable",
      "answers those who wait for events",
      "closes the readers by 4001",
    ]);
    expect(world.frames).toEqual([undefined]);
    expect(world.one.live(NOW)).not.toBeNull();
  });
});

describe("an alarm", () => {
  it("that finds no session has the directory told of what it does not know", async () => {
    const world = new World();
    await world.one.wake(NOW + 5);
    expect(world.since()).toEqual([
      "the alarm has fired",
      "reads the record",
      "the directory: resume 5",
    ]);
    expect(world.listed).toEqual([undefined]);
  });

  it("that comes before the deadline is set for it, before the directory is told", async () => {
    const world = new World();
    world.make();
    world.one.touch(sessionIn(world, NOW), NOW + 100);
    world.since();
    await world.one.wake(NOW + TTL);
    expect(world.since()).toEqual([
      "the alarm has fired",
      `wakes the task ${TTL}`,
      `wakes by ${TTL + 100}`,
      `the directory: resume ${TTL}`,
    ]);
    expect(world.listed.at(-1)).toMatchObject({ session: { id: ID }, deadline: NOW + TTL + 100 });
    expect(world.lines).toEqual([["object.alarm", { session: ID, verdict: "live" }]]);
  });

  it("credits what holds the session open, and no session that nothing holds", async () => {
    const world = new World();
    world.make();
    world.holds.exchange = true;
    await world.one.wake(NOW + 2 * TTL);
    expect(world.usedUntil).toBe(NOW + 3 * TTL);
    expect(world.since()).toContain("stores a use");
    expect(world.listed.at(-1)?.heldAt).toBe(NOW + 2 * TTL);
    world.holds.exchange = false;
    await world.one.wake(NOW + 2 * TTL + 1);
    expect(world.since()).not.toContain("stores a use");
    expect(world.listed.at(-1)).toStrictEqual({
      session: sessionIn(world, NOW).record,
      deadline: NOW + 3 * TTL,
    });
  });

  it("at the deadline ends the session, and waits until the directory has heard of it", async () => {
    const world = new World();
    world.make();
    await world.one.wake(NOW + TTL);
    const done = world.since();
    expect(done.slice(0, 2)).toEqual(["the alarm has fired", "the directory: ended"]);
    expect(done.at(-1)).toBe("the directory: settled");
    expect(done.filter((what) => /wakes|resume/.test(what))).toEqual([]);
    expect(world.lines.map(([event, line]) => [event, line])).toEqual([
      ["object.alarm", { session: ID, verdict: "expire: idle" }],
      ["session.expired", { session: expect.any(String) }],
    ]);
  });

  it("wakes the session's own server first where its time has come, and then looks at the time again", async () => {
    const world = new World();
    world.make();
    world.holds.ownWakeAt = NOW + 50;
    vi.setSystemTime(NOW + 90);
    await world.one.wake(NOW + 49);
    expect(world.since()).not.toContain("wakes the server 49");
    world.ownWake = async () => {
      world.holds.ownWakeAt = Infinity;
      vi.setSystemTime(NOW + 95);
    };
    await world.one.wake(NOW + 50);
    const done = world.since();
    expect(done.slice(0, 2)).toEqual(["wakes the server 50", "the alarm has fired"]);
    expect(done).toContain("the directory: resume 95");
  });

  it("wakes no server of a session that is over", async () => {
    const world = new World();
    world.make();
    world.holds.ownWakeAt = NOW;
    vi.setSystemTime(NOW + TTL);
    await world.one.wake(NOW + TTL);
    expect(world.since().join()).not.toContain("wakes the server");
    const empty = new World();
    empty.holds.ownWakeAt = NOW;
    await empty.one.wake(NOW);
    expect(empty.since().join()).not.toContain("wakes the server");
  });

  it("that has failed often sets the next one before anything else, and makes that durable", async () => {
    const world = new World();
    world.make();
    await world.one.wake(NOW + 5, OWN_ALARM_AFTER_TRIES - 1);
    expect(world.since()).not.toContain("is durable");
    await world.one.wake(NOW + 5, OWN_ALARM_AFTER_TRIES);
    expect(world.since().slice(0, 3)).toEqual([
      "the alarm has fired",
      `wakes at ${5 + LONGEST_RESEND_MS}`,
      "is durable",
    ]);
    world.sync = () => Promise.reject(new Error("the disk is full"));
    await expect(world.one.wake(NOW + TTL, OWN_ALARM_AFTER_TRIES)).rejects.toThrow(
      "the disk is full",
    );
    expect(world.since()).not.toContain("the directory: ended");
  });
});
