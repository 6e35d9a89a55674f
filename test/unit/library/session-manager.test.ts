import { afterEach, beforeEach, describe, expect, it, expectTypeOf } from "vitest";
import {
  InvalidSessionIdError,
  SessionAlreadyExistsError,
  SessionNotFoundError,
  UnavailableError,
} from "../../../src/core/errors.ts";
import {
  ProxySession,
  type Session,
  StreamableSession,
} from "../../../src/library/model/session.ts";
import { SSESession } from "../../../src/library/model/sse-session.ts";
import { LocalDataStorage, LocalStorage } from "../../../src/library/storage/local.ts";
import {
  DEFAULT_SESSION_TTL_MS,
  SessionManager,
  type SessionManagerOptions,
} from "../../../src/library/session-manager.ts";
import { FakeClock } from "../../support/fake-clock.ts";

const TTL_MS = 60_000;
const newId = () => crypto.randomUUID();

let clock: FakeClock;
let manager: SessionManager;

function managerWith(options: SessionManagerOptions = {}): SessionManager {
  return new SessionManager({ ttlMs: TTL_MS, clock, ...options });
}

beforeEach(() => {
  clock = new FakeClock();
  manager = managerWith();
});
afterEach(() => manager.stop());

describe("making a manager", () => {
  it("has ToolHive's TTL of two hours unless said", () => {
    expect(DEFAULT_SESSION_TTL_MS).toBe(7_200_000);
  });

  it.each([0, -1, NaN, Infinity, 1e21])("refuses a TTL of %s", (ttlMs) => {
    expect(() => managerWith({ ttlMs })).toThrow(RangeError);
  });

  it.each([0, -1, NaN, Infinity, 2 ** 31])("refuses an operation timeout of %s", (ms) => {
    expect(() => managerWith({ operationTimeoutMs: ms })).toThrow(/operationTimeoutMs must be/);
  });

  it("refuses a negative lifetime, and a factory beside a type", () => {
    expect(() => managerWith({ maxLifetimeMs: -1 })).toThrow(RangeError);
    expect(() => managerWith({ type: "sse", factory: (id) => new ProxySession(id) })).toThrow(
      TypeError,
    );
  });
});

describe("arguments in ToolHive's order", () => {
  const factory = (id: string) => new ProxySession(id);
  /** A caller without types can give anything. */
  const make = (made: unknown, ...args: readonly unknown[]) =>
    Reflect.construct(made as new () => object, args);

  it.each([
    ["NewManager(ttl, factory)", SessionManager, [60_000, factory]],
    ["NewTypedManager(ttl, type)", SessionManager, [60_000, "sse"]],
    [
      "NewManagerWithStorage(ttl, factory, storage)",
      SessionManager,
      [1, factory, new LocalStorage()],
    ],
    ["options, and a factory behind them", SessionManager, [{ ttlMs: 60_000 }, factory]],
    ["a factory alone", SessionManager, [factory]],
    ["null", SessionManager, [null]],
    ["a TTL of a LocalStorage", LocalStorage, [60_000]],
    ["NewLocalSessionDataStorage(ttl)", LocalDataStorage, [60_000]],
  ])("are refused: %s", (_name, made, args) => {
    expect(() => make(made, ...args)).toThrow(TypeError);
    expect(() => make(made, ...args)).toThrow(
      /^options are given as one object: new \w+\(\{ ttlMs/,
    );
  });

  it("do not compile", () => {
    type Accepted = ConstructorParameters<typeof SessionManager>;
    expectTypeOf<[{ ttlMs: number; factory: typeof factory }]>().toExtend<Accepted>();
    expectTypeOf<[number, typeof factory]>().not.toExtend<Accepted>();
    expectTypeOf<[{ ttlMs: number }, typeof factory]>().not.toExtend<Accepted>();
  });
});

describe("adding sessions", () => {
  it("makes a plain session, one of the type, or what the factory makes", async () => {
    expect((await manager.add(newId())).type).toBe("mcp");
    expect(await managerWith({ type: "sse" }).addWithId(newId())).toBeInstanceOf(SSESession);
    expect(await managerWith({ type: "streamable" }).addWithId(newId())).toBeInstanceOf(
      StreamableSession,
    );
    for (const type of ["task", "quantum"]) {
      expect((await managerWith({ type }).addWithId(newId())).type).toBe(type);
    }
    const factory = (id: string) => new ProxySession(id, "made");
    expect((await managerWith({ factory }).addWithId(newId())).type).toBe("made");
  });

  it("adds nothing where the factory makes a session of another id, or none", async () => {
    const others = managerWith({ factory: () => new ProxySession(newId()) });
    await expect(others.add(newId())).rejects.toThrow(TypeError);
    const nothing = managerWith({ factory: () => null as unknown as Session });
    await expect(nothing.add(newId())).rejects.toMatchObject({ code: "invalid_request" });
    expect([await others.count(), await nothing.count()]).toEqual([0, 0]);
  });

  it("refuses nil, empty and non-UUID, on add, upsert and delete", async () => {
    const nothing = null as unknown as Session;
    await expect(manager.addSession(nothing)).rejects.toMatchObject({ code: "invalid_request" });
    await expect(manager.upsertSession(nothing)).rejects.toMatchObject({ code: "invalid_request" });
    const stranger = new ProxySession("not-a-uuid");
    for (const call of [
      () => manager.add(""),
      () => manager.addWithId("not-a-uuid"),
      () => manager.addSession(stranger),
      () => manager.upsertSession(stranger),
      () => manager.delete(""),
      () => manager.delete("not-a-uuid"),
    ]) {
      await expect(call()).rejects.toThrow(InvalidSessionIdError);
    }
  });

  it("refuses a duplicate, in any form of its id", async () => {
    const id = newId();
    await manager.add(id);
    await expect(manager.add(id)).rejects.toThrow(SessionAlreadyExistsError);
    await expect(manager.add(`{${id.toUpperCase()}}`)).rejects.toMatchObject({ status: 409 });
  });

  it("lets one of many concurrent callers win", async () => {
    const id = newId();
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => manager.add(id)));
    expect(tries.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("upsert replaces a session, and may change the concrete type", async () => {
    const id = newId();
    await manager.add(id);
    await manager.upsert(new SSESession(id));
    expect(await manager.get(id)).toBeInstanceOf(SSESession);
    await manager.upsertSession(new ProxySession(newId()));
    expect(await manager.count()).toBe(2);
  });
});

describe("getting sessions", () => {
  it("answers undefined for a miss, and getWithError throws it", async () => {
    expect(await manager.get(newId())).toBeUndefined();
    expect(await manager.get("")).toBeUndefined();
    await expect(manager.getWithError(newId())).rejects.toThrow(SessionNotFoundError);
  });

  it("get keeps a session alive", async () => {
    const { id } = await manager.add(newId());
    for (let i = 0; i < 4; i++) {
      await clock.advance(TTL_MS * 0.9);
      expect(await manager.get(id)).toBeDefined();
    }
  });

  it("delete is idempotent", async () => {
    const { id } = await manager.add(newId());
    await manager.delete(id);
    await manager.delete(id);
    expect(await manager.get(id)).toBeUndefined();
  });

  it("touch moves the stored updatedAt and keeps the session alive; get moves nothing", async () => {
    const { id } = await manager.add(newId());
    const made = clock.now();
    await clock.advance(TTL_MS / 2);
    expect((await manager.get(id))?.updatedAt.getTime()).toBe(made);
    expect(await manager.touch(id)).toBe(true);
    await clock.advance(TTL_MS * 0.9);
    expect((await manager.get(id))?.updatedAt.getTime()).toBe(made + TTL_MS / 2);
  });

  it("touch of a missing session is false and makes none", async () => {
    const id = newId();
    expect(await manager.touch(id)).toBe(false);
    expect(await manager.get(id)).toBeUndefined();
  });

  it("counts and ranges over its sessions", async () => {
    const ids = [newId(), newId()].toSorted();
    for (const id of ids) await manager.add(id);
    const seen: string[] = [];
    for await (const session of manager.range()) seen.push(session.id);
    expect(seen.toSorted()).toEqual(ids);
    expect(await manager.count()).toBe(2);
  });
});

describe("cleaning up", () => {
  it("removes what was not used for a TTL, every half TTL", async () => {
    const storage = new LocalStorage({ clock });
    const { id } = await managerWith({ storage }).add(newId());
    await clock.advance(TTL_MS);
    expect(await storage.load(id)).toBeDefined();
    await clock.advance(TTL_MS * 1.5);
    expect(await storage.load(id)).toBeUndefined();
  });

  it("can be run by hand", async () => {
    const storage = new LocalStorage({ clock });
    const byHand = managerWith({ storage });
    await byHand.add(newId());
    await clock.advance(TTL_MS / 4);
    expect(await byHand.cleanupExpiredOnce()).toBe(0);
    expect(await managerWith({ storage, ttlMs: 1 }).cleanupExpiredOnce()).toBe(1);
  });

  it("stop ends it, closes the storage, and may be repeated", async () => {
    const storage = new LocalStorage({ clock });
    const stopped = managerWith({ storage });
    const session = new SSESession(newId());
    await stopped.add(session);
    const timers = clock.timers;
    await stopped.stop();
    await stopped.stop();
    expect(clock.timers).toBe(timers - 1);
    expect(session.isConnected).toBe(false);
    await storage.store(new ProxySession(newId()));
    await clock.advance(TTL_MS * 10);
    expect(await storage.count()).toBe(1);
  });

  it("stop ends every call: nothing is added that nobody would clean up", async () => {
    const stopped = managerWith();
    await stopped.stop();
    const session = new ProxySession(newId());
    for (const call of [
      () => stopped.add(newId()),
      () => stopped.upsert(session),
      () => stopped.get(session.id),
      () => stopped.touch(session.id),
      () => stopped.delete(session.id),
      () => stopped.count(),
      () => stopped.cleanupExpiredOnce(),
      () => stopped.range().next(),
    ]) {
      await expect(call()).rejects.toThrow(/manager was stopped/);
      await expect(call()).rejects.toMatchObject({ code: "unavailable" });
    }
  });

  it("stop is over in time, also with a session that never closes, and says so", async () => {
    const problems: unknown[] = [];
    const stuck = Object.assign(new ProxySession(newId()), {
      close: () => new Promise<void>(() => {}),
    });
    const fine = new SSESession(newId());
    const storage = new LocalStorage({
      closeTimeoutMs: 10,
      onCloseError: (error) => problems.push(error),
    });
    const stopping = managerWith({ storage });
    for (const session of [stuck, fine]) await stopping.add(session);
    await stopping.stop();
    expect(fine.isConnected).toBe(false);
    expect(problems).toEqual([expect.objectContaining({ code: "unavailable" })]);
  });

  it("stop does not wait for ever for a storage that never closes", async () => {
    const storage = new LocalStorage();
    storage.close = () => new Promise(() => {});
    const stopping = managerWith({ storage, operationTimeoutMs: 10 });
    const timers = clock.timers;
    await expect(stopping.stop()).rejects.toThrow(/did not close within 10 ms/);
    expect(clock.timers).toBe(timers - 1);
  });

  it("reports a session of its own storage that fails to close", async () => {
    const problems: unknown[] = [];
    const own = managerWith({ onCleanupError: (error) => problems.push(error) });
    const close = () => {
      throw new Error("stuck");
    };
    const { id } = await own.add(Object.assign(new ProxySession(newId()), { close }));
    await own.delete(id);
    expect(problems).toEqual([new Error("stuck")]);
  });

  it("that fails is reported, and the next one runs", async () => {
    const problems: unknown[] = [];
    const storage = new LocalStorage({ clock });
    storage.deleteExpired = () => Promise.reject(new Error("disk on fire"));
    const onCleanupError = (error: unknown) => {
      problems.push(error);
      // Nobody could catch this, and the process must not end by it.
      throw new Error("no log today");
    };
    managerWith({ storage, onCleanupError });
    await clock.advance(TTL_MS);
    expect(problems).toHaveLength(2);
  });
});

describe("a storage that fails", () => {
  class Failing extends LocalStorage {
    override load = () => Promise.reject(new UnavailableError());
    override create = () => Promise.reject(new UnavailableError());
  }

  it("is a failure with status 503, never a miss", async () => {
    const failing = managerWith({ storage: new Failing() });
    for (const call of [
      () => failing.get(newId()),
      () => failing.getWithError(newId()),
      () => failing.touch(newId()),
      () => failing.add(newId()),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: "unavailable", status: 503 });
    }
  });

  it("ends nobody's session: a failed lookup deletes nothing", async () => {
    const deleted: string[] = [];
    const storage = new Failing();
    storage.delete = async (id) => void deleted.push(id);
    await expect(managerWith({ storage, maxLifetimeMs: 1 }).get(newId())).rejects.toThrow();
    expect(deleted).toEqual([]);
  });

  it("is not waited for beyond the manager's timeout", async () => {
    const storage = new LocalStorage();
    storage.load = () => new Promise(() => {});
    const slow = managerWith({ storage, operationTimeoutMs: 10 });
    await expect(slow.get(newId())).rejects.toThrow(UnavailableError);
  });

  it("is not waited for beyond that by a range either, and not asked any further", async () => {
    let signal: AbortSignal | undefined;
    async function* stuck(options: { signal?: AbortSignal | undefined }) {
      signal = options.signal;
      yield new ProxySession(newId());
      await new Promise(() => {});
    }
    class Stuck extends LocalStorage {
      // `never` fits both forms of a range.
      override range(options?: object): never {
        return stuck(options ?? {}) as never;
      }
    }
    const range = managerWith({ storage: new Stuck(), operationTimeoutMs: 10 }).range();
    expect((await range.next()).done).toBe(false);
    await expect(range.next()).rejects.toThrow(UnavailableError);
    expect(signal?.aborted).toBe(true);
  });

  it("is left by a range whose caller has seen enough", async () => {
    let left = false;
    async function* endless() {
      try {
        for (;;) yield new ProxySession(newId());
      } finally {
        left = true;
      }
    }
    class Endless extends LocalStorage {
      override range(): never {
        return endless() as never;
      }
    }
    const manager = managerWith({ storage: new Endless() });
    for await (const session of manager.range()) if (session.id) break;
    expect(left).toBe(true);
    left = false;
    await manager.range(() => false);
    expect(left).toBe(true);
  });

  it("is not waited for by a caller who has left", async () => {
    const storage = new LocalStorage();
    storage.load = () => new Promise(() => {});
    const caller = new AbortController();
    const call = managerWith({ storage }).get(newId(), { signal: caller.signal });
    const reason = new Error("gone");
    caller.abort(reason);
    await expect(call).rejects.toBe(reason);
  });
});

describe("an absolute lifetime", () => {
  const capped = () => managerWith({ maxLifetimeMs: 3 * TTL_MS });

  it("ends a session whatever its use", async () => {
    const manager = capped();
    const { id } = await manager.add(newId());
    for (let i = 0; i < 5; i++) {
      expect(await manager.get(id)).toBeDefined();
      await clock.advance(TTL_MS / 2);
    }
    await clock.advance(TTL_MS / 2);
    expect(await manager.touch(id)).toBe(false);
    expect(await manager.get(id)).toBeUndefined();
    expect(await manager.count()).toBe(0);
  });

  it("is not shown by range, and frees its id", async () => {
    const manager = capped();
    const { id } = await manager.add(newId());
    for (let i = 0; i < 6; i++) {
      await manager.get(id);
      await clock.advance(TTL_MS / 2);
    }
    const seen: Session[] = [];
    for await (const session of manager.range()) seen.push(session);
    expect(seen).toEqual([]);
    await manager.add(id);
    expect(await manager.get(id)).toBeDefined();
  });

  it("cannot be passed by storing the session again, or adding it", async () => {
    const manager = capped();
    const session = await manager.add(newId());
    await clock.advance(3 * TTL_MS);
    await expect(manager.upsert(session)).rejects.toThrow(SessionNotFoundError);
    await expect(manager.add(session)).rejects.toThrow(SessionNotFoundError);
  });

  it("has ended a session, also where it cannot be removed", async () => {
    const problems: unknown[] = [];
    const storage = new LocalStorage();
    storage.delete = () => Promise.reject(new UnavailableError());
    const onCleanupError = (error: unknown) => problems.push(error);
    const manager = managerWith({ storage, maxLifetimeMs: TTL_MS, onCleanupError });
    const { id } = await manager.add(newId());
    await clock.advance(TTL_MS);
    expect(await manager.get(id)).toBeUndefined();
    expect(problems).toEqual([expect.any(UnavailableError)]);
  });
});
