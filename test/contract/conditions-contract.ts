/** The promise of `ifStill` over every storage: writes and removals that undo no other write. */
import { beforeEach, describe, expect, it } from "vitest";
import type { Storage } from "../../src/library/storage/storage.ts";
import { sessionWith } from "../support/session-with.ts";
import type { OpenedStorage } from "./opened-storage.ts";

const MOST_OF_TTL = 45_000;
const newId = () => crypto.randomUUID();

/** `opened` is the storage of the test that runs, whose sessions live a minute after their last use. */
export function describeConditions(opened: () => OpenedStorage): void {
  describe("with ifStill", () => {
    let storage: Storage;
    let age: OpenedStorage["age"];
    const valueOf = async (id: string) => (await storage.load(id))?.getMetadataValue("value");
    beforeEach(() => {
      ({ storage, age } = opened());
    });

    it("update replaces what is still as it was given", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      const loaded = await storage.load(id);
      const second = sessionWith(id, "second");
      expect(await storage.update(second, { ifStill: loaded })).toBe(true);
      // The storage holds the record that it took.
      expect(await storage.update(sessionWith(id, "third"), { ifStill: second })).toBe(true);
      expect(await valueOf(id)).toBe("third");
    });

    it("update never undoes a write that came between, nor brings back", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      const loaded = await storage.load(id);
      await storage.store(sessionWith(id, "between"));
      expect(await storage.update(sessionWith(id, "late"), { ifStill: loaded })).toBe(false);
      expect(await valueOf(id)).toBe("between");
      await storage.delete(id);
      expect(await storage.update(sessionWith(id, "late"), { ifStill: loaded })).toBe(false);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("update is atomic: of many callers at once, one wins", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      const loaded = await storage.load(id);
      const callers = Array.from({ length: 20 }, (_, caller) => `caller ${caller}`);
      const won = await Promise.all(
        callers.map((caller) => storage.update(sessionWith(id, caller), { ifStill: loaded })),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await valueOf(id)).toBe(callers[won.indexOf(true)]);
    });

    it("update refreshes the TTL", async () => {
      const session = sessionWith(newId(), "first");
      await storage.store(session);
      await age(session.id, MOST_OF_TTL);
      expect(await storage.update(session, { ifStill: session })).toBe(true);
      await age(session.id, MOST_OF_TTL);
      expect(await storage.load(session.id)).toBeDefined();
    });

    it("delete removes what is still as it was given, and nothing else", async () => {
      const id = newId();
      await storage.create(sessionWith(id, "first"));
      const loaded = await storage.load(id);
      await storage.delete(id);
      await storage.create(sessionWith(id, "second"));
      await storage.delete(id, { ifStill: loaded });
      expect(await valueOf(id)).toBe("second");
      await storage.delete(id, { ifStill: await storage.load(id) });
      expect(await storage.load(id)).toBeUndefined();
      await storage.delete(id, { ifStill: loaded });
    });

    it("a session that the storage neither gave nor took matches nothing", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      const stranger = sessionWith(id, "first");
      expect(await storage.update(stranger, { ifStill: stranger })).toBe(false);
      await storage.delete(id, { ifStill: stranger });
      expect(await valueOf(id)).toBe("first");
    });

    it("a session from a page counts as given", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      for await (const session of storage.range()) {
        expect(await storage.update(sessionWith(id, "second"), { ifStill: session })).toBe(true);
      }
      expect(await valueOf(id)).toBe("second");
    });
  });
}
