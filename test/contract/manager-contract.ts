/** The promises of `SessionManager` over every storage: races between managers, and with other writers. */
import { beforeEach, describe, expect, it } from "vitest";
import { decodeSession } from "../../src/library/model/codec.ts";
import { ProxySession } from "../../src/library/model/session.ts";
import { SessionManager } from "../../src/library/session-manager.ts";
import type { Storage } from "../../src/library/storage/storage.ts";

const newId = () => crypto.randomUUID();

/** The storage, but that something happens just before it deletes, or moves a time (by either method). */
function before(
  storage: Storage,
  method: "delete" | "touch",
  happens: () => Promise<void>,
): Storage {
  return new Proxy(storage, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target);
      if (typeof member !== "function") return member;
      return async (...args: unknown[]) => {
        if (name === method || (method === "touch" && name === "update")) await happens();
        return Reflect.apply(member, target, args) as unknown;
      };
    },
  });
}

/** `storage` is the one of the test that runs. */
export function describeManagerOver(storage: () => Storage): void {
  describe("under a manager", () => {
    let now: number;
    const managerOf = (maxLifetimeMs = 0, over = storage()) =>
      new SessionManager({
        storage: over,
        maxLifetimeMs,
        clock: { now: () => now, every: () => () => {} },
      });
    const oldSession = () => decodeSession(`{"id":"${newId()}","type":"mcp"}`);
    beforeEach(() => {
      now = Date.now();
    });

    it("of many adds at once over a session past its lifetime, one wins", async () => {
      const [manager, other] = [managerOf(1000), managerOf(1000)];
      const { id } = await manager.add(newId());
      now += 1000;
      const fresh = { clock: { now: () => now } };
      const tries = Array.from({ length: 20 }, (_, caller) => {
        const session = new ProxySession(id, `caller-${caller}`, fresh);
        return (caller % 2 === 0 ? manager : other).add(session);
      });
      const settled = await Promise.allSettled(tries);
      const won = settled.flatMap((one) => (one.status === "fulfilled" ? [one.value.type] : []));
      expect(won).toHaveLength(1);
      expect((await manager.get(id))?.type).toBe(won[0]);
    });

    it("an add over a session past its lifetime never deletes the one added since", async () => {
      const manager = managerOf(1000);
      const { id } = await manager.add(newId());
      now += 1000;
      const fresh = (type: string) => new ProxySession(id, type, { clock: { now: () => now } });
      const between = async () => void (await manager.add(fresh("first")));
      const late = managerOf(1000, before(storage(), "delete", between)).add(fresh("second"));
      await expect(late).rejects.toMatchObject({ code: "session_already_exists" });
      expect((await manager.get(id))?.type).toBe("first");
    });

    it("a late get of a session past its lifetime never deletes the one made since", async () => {
      const manager = managerOf(1000);
      const { id } = await manager.add(newId());
      now += 1000;
      const between = async () => {
        await storage().delete(id);
        await storage().create(new ProxySession(id, "new", { clock: { now: () => now } }));
      };
      const late = managerOf(1000, before(storage(), "delete", between));
      expect(await late.get(id)).toBeUndefined();
      expect((await manager.get(id))?.type).toBe("new");
    });

    it("a late touch never undoes a write that came between, and is made after it", async () => {
      const { id } = await managerOf().add(oldSession());
      let writes = 0;
      const between = async () => {
        // This record's updatedAt is older, so the touch still has to be made.
        if (++writes === 1)
          await storage().store(decodeSession(`{"id":"${id}","metadata":{"value":"between"}}`));
      };
      const manager = managerOf(0, before(storage(), "touch", between));
      expect(await manager.touch(id)).toBe(true);
      // Without a touch of its own the storage refuses the first update.
      expect(writes).toBe(storage().touch ? 1 : 2);
      const loaded = await storage().load(id);
      expect(loaded?.getMetadataValue("value")).toBe("between");
      expect(loaded?.createdAtText).toBe("0001-01-01T00:00:00Z");
      expect(loaded?.updatedAt.getFullYear()).toBeGreaterThan(2025);
    });

    it("a late touch never brings back a session that was deleted", async () => {
      const { id } = await managerOf().add(oldSession());
      const between = () => storage().delete(id);
      const manager = managerOf(0, before(storage(), "touch", between));
      expect(await manager.touch(id)).toBe(false);
      expect(await storage().load(id)).toBeUndefined();
    });

    it("touches at once all succeed", async () => {
      const manager = managerOf();
      const { id } = await manager.add(oldSession());
      const touched = await Promise.all(Array.from({ length: 20 }, () => manager.touch(id)));
      expect(new Set(touched)).toEqual(new Set([true]));
      expect((await storage().load(id))?.updatedAt.getFullYear()).toBeGreaterThan(2025);
    });

    it("calls back with each session until it gets false, and stops at the end of its block", async () => {
      const ids = Array.from({ length: 4 }, newId).toSorted();
      const seen: string[] = [];
      let calls = 0;
      let used: SessionManager;
      {
        await using manager = managerOf();
        used = manager;
        for (const id of ids) await manager.add(id);
        await manager.range(({ id }) => seen.push(id), { pageSize: 2 });
        await manager.range(async () => ++calls < 3);
        const problem = new Error("the callback failed");
        await expect(manager.range(() => Promise.reject(problem))).rejects.toBe(problem);
      }
      expect(seen.toSorted()).toEqual(ids);
      expect(calls).toBe(3);
      await expect(used.count()).rejects.toThrow("The session manager was stopped.");
    });

    it("an id that cannot be one here is a miss", async () => {
      const manager = managerOf();
      for (const id of ["", "not-a-uuid", "a:b"]) expect(await manager.get(id)).toBeUndefined();
    });
  });
}
