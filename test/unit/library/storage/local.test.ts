import { beforeEach, describe, expect, it } from "vitest";
import { ProxySession } from "../../../../src/library/model/session.ts";
import { SSESession } from "../../../../src/library/model/sse-session.ts";
import { LocalDataStorage, LocalStorage } from "../../../../src/library/storage/local.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const newId = () => crypto.randomUUID();
let clock: FakeClock;
beforeEach(() => {
  clock = new FakeClock();
});

class Closable extends ProxySession {
  closed = 0;
  readonly #onClose: () => void | Promise<void>;

  constructor(onClose: () => void | Promise<void> = () => {}) {
    super(newId());
    this.#onClose = onClose;
  }

  async close(): Promise<void> {
    this.closed++;
    await this.#onClose();
  }
}

describe("LocalStorage", () => {
  it("returns the very session that was stored", async () => {
    const storage = new LocalStorage();
    const session = new SSESession(newId());
    await storage.store(session);
    expect(await storage.load(session.id)).toBe(session);
  });

  it("refuses to return an expired session before any clean-up ran, and ends its stream", async () => {
    const storage = new LocalStorage({ ttlMs: 1000, clock });
    const session = new SSESession(newId());
    await storage.store(session);
    await clock.advance(1000);
    expect(await storage.count()).toBe(0);
    expect(await storage.load(session.id)).toBeUndefined();
    expect(session.isConnected).toBe(false);
  });

  it("ends the stream of an expired session that another replaces, and not one's own", async () => {
    const storage = new LocalStorage({ ttlMs: 1000, clock });
    const session = new SSESession(newId());
    await storage.store(session);
    await clock.advance(1000);
    await storage.store(session);
    expect(session.isConnected).toBe(true);
    await clock.advance(1000);
    await storage.store(new ProxySession(session.id));
    expect(session.isConnected).toBe(false);
  });

  it("without a TTL keeps sessions until deleteExpired", async () => {
    const storage = new LocalStorage({ clock });
    const session = new ProxySession(newId());
    await storage.store(session);
    await clock.advance(1e12);
    expect(await storage.count()).toBe(1);
    expect(await storage.deleteExpired(new Date(clock.now()))).toBe(1);
    expect(await storage.count()).toBe(0);
  });

  it("takes its own last access for eviction, whatever the session's times say", async () => {
    const storage = new LocalStorage({ clock });
    const old = new ProxySession(newId(), "mcp", { clock: new FakeClock(0) });
    await storage.store(old);
    expect(await storage.deleteExpired(clock.now())).toBe(0);
  });

  it.each([0, -5, 1e21])("refuses a TTL of %s", (ttlMs) => {
    expect(() => new LocalStorage({ ttlMs })).toThrow(RangeError);
  });

  it("evicting a session closes it, so that its stream does not stay open", async () => {
    const storage = new LocalStorage({ clock });
    const session = new SSESession(newId());
    await storage.store(session);
    const reading = session.messages.next();
    await clock.advance(10);
    await storage.deleteExpired(clock.now());
    expect(await reading).toEqual({ done: true, value: undefined });
  });

  it("deleting a session and closing the storage close sessions too, once each", async () => {
    const storage = new LocalStorage();
    const [deleted, left] = [new Closable(), new Closable()];
    await storage.store(deleted);
    await storage.store(left);
    await storage.delete(deleted.id);
    await storage.close();
    await storage.close();
    expect([deleted.closed, left.closed]).toEqual([1, 1]);
  });

  it("deleteExpired survives a session that fails to close, and says which", async () => {
    const failed: unknown[] = [];
    const onCloseError = (error: unknown) => failed.push(error);
    const storage = new LocalStorage({ clock, onCloseError });
    await storage.store(
      new Closable(() => {
        throw new Error("stuck");
      }),
    );
    const fine = new Closable();
    await storage.store(fine);
    await clock.advance(10);
    expect(await storage.deleteExpired(clock.now())).toBe(2);
    expect(fine.closed).toBe(1);
    expect(failed).toEqual([new Error("stuck")]);
  });

  it("deleteExpired never evicts a session that was touched or replaced meanwhile", async () => {
    const storage = new LocalStorage({ clock });
    const touched = new Closable();
    const replaced = new Closable();
    const replacement = new Closable();
    // Closing the first gives others time to use the rest.
    const first = new Closable(async () => {
      await storage.load(touched.id);
      Object.defineProperty(replacement, "id", { value: replaced.id });
      await storage.store(replacement);
    });
    for (const session of [first, touched, replaced]) await storage.store(session);
    await clock.advance(10);
    expect(await storage.deleteExpired(clock.now())).toBe(1);
    // Its replacement closed the one that was replaced.
    expect([touched.closed, replaced.closed, replacement.closed]).toEqual([0, 1, 0]);
    expect(await storage.load(replaced.id)).toBe(replacement);
  });

  it.each(["delete", "deleteExpired", "close"] as const)(
    "%s does not wait for ever for a session that never closes, and says so",
    async (method) => {
      const problems: unknown[] = [];
      const onCloseError = (error: unknown) => problems.push(error);
      const storage = new LocalStorage({ clock, closeTimeoutMs: 10, onCloseError });
      const stuck = new Closable(() => new Promise(() => {}));
      const fine = new Closable();
      for (const session of [stuck, fine]) await storage.store(session);
      await clock.advance(10);
      if (method === "close") await storage.close();
      else if (method === "deleteExpired") await storage.deleteExpired(clock.now());
      else for (const { id } of [stuck, fine]) await storage.delete(id);
      expect([stuck.closed, fine.closed]).toEqual([1, 1]);
      expect(problems.map(String)).toEqual([
        "UnavailableError: A session did not close within 10 ms.",
      ]);
      expect(await storage.count()).toBe(0);
    },
  );

  it.each(["store", "update"] as const)(
    "%s closes the session whose place another takes, and never the very one that is stored again",
    async (method) => {
      const storage = new LocalStorage();
      const first = new SSESession(newId());
      const second = new SSESession(first.id);
      await storage.store(first);
      const reading = first.messages.next();
      await storage[method](first);
      expect(first.isConnected).toBe(true);
      await storage[method](second);
      expect(await reading).toEqual({ done: true, value: undefined });
      expect([first.isConnected, second.isConnected]).toEqual([false, true]);
    },
  );

  it("is not stopped by an onCloseError that throws", async () => {
    const onCloseError = () => {
      throw new Error("no log today");
    };
    const storage = new LocalStorage({ clock, onCloseError });
    const fail = () => {
      throw new Error("stuck");
    };
    for (let i = 0; i < 2; i++) await storage.store(new Closable(fail));
    await clock.advance(10);
    expect(await storage.deleteExpired(clock.now())).toBe(2);
  });

  it.each([0, NaN, 2 ** 31])("refuses to wait %s ms for a session to close", (closeTimeoutMs) => {
    expect(() => new LocalStorage({ closeTimeoutMs })).toThrow(RangeError);
  });

  it("deleteExpired stops when it is cancelled", async () => {
    const storage = new LocalStorage({ clock });
    const caller = new AbortController();
    const reason = new Error("enough");
    await storage.store(new Closable(() => caller.abort(reason)));
    await storage.store(new Closable());
    await clock.advance(10);
    const cleanup = storage.deleteExpired(clock.now(), { signal: caller.signal });
    await expect(cleanup).rejects.toBe(reason);
    expect(await storage.count()).toBe(1);
  });
});

describe("LocalDataStorage", () => {
  it.each([0, -5, NaN, 1e21])("refuses a TTL of %s", (ttlMs) => {
    expect(() => new LocalDataStorage({ ttlMs })).toThrow(RangeError);
  });

  it("sweeps idle entries every half TTL, until it is closed", async () => {
    const storage = new LocalDataStorage({ ttlMs: 1000, clock });
    await storage.create(newId());
    expect(storage.size).toBe(1);
    await clock.advance(1000);
    expect(storage.size).toBe(0);
    await storage.close();
    expect(clock.timers).toBe(0);
  });
});
