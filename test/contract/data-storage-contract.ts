/** The contract of `DataStorage`, run over every adapter. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InvalidSessionIdError } from "../../src/core/errors.ts";
import type { DataStorage, MetadataEntry } from "../../src/library/storage/storage.ts";

interface OpenedDataStorage {
  readonly storage: DataStorage;
  /** Lets this much time pass in which nobody uses the id. */
  age(id: string, ms: number): Promise<void>;
}

type OpenDataStorage = (ttlMs: number) => Promise<OpenedDataStorage>;

const TTL_MS = 60_000;
const MOST_OF_TTL = 45_000;
const newId = () => crypto.randomUUID();

async function collect(entries: AsyncIterable<MetadataEntry>): Promise<MetadataEntry[]> {
  const seen: MetadataEntry[] = [];
  for await (const entry of entries) seen.push(entry);
  return seen.toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

export function describeDataStorage(name: string, open: OpenDataStorage): void {
  describe(`the contract of DataStorage, on ${name}`, () => {
    let storage: DataStorage;
    let age: OpenedDataStorage["age"];

    beforeEach(async () => {
      ({ storage, age } = await open(TTL_MS));
    });
    afterEach(() => storage.close());

    it("create writes once and never overwrites", async () => {
      const id = newId();
      expect(await storage.create(id, { a: "1", __proto__: "ignored" })).toBe(true);
      expect(await storage.create(id, { a: "2" })).toBe(false);
      expect(await storage.load(id)).toEqual({ a: "1" });
    });

    it("create is atomic under concurrent callers", async () => {
      const id = newId();
      const callers = Array.from({ length: 20 }, (_, caller) => `caller ${caller}`);
      const won = await Promise.all(callers.map((caller) => storage.create(id, { caller })));
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await storage.load(id)).toEqual({ caller: callers[won.indexOf(true)] });
    });

    it("update overwrites what exists", async () => {
      const id = newId();
      await storage.create(id, { a: "1", b: "2" });
      expect(await storage.update(id, { a: "3" })).toBe(true);
      expect(await storage.load(id)).toEqual({ a: "3" });
    });

    it("update of a missing id is false and makes nothing", async () => {
      const id = newId();
      expect(await storage.update(id, { a: "1" })).toBe(false);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("update of a deleted id is false and makes nothing", async () => {
      const id = newId();
      await storage.create(id, { a: "1" });
      await storage.delete(id);
      expect(await storage.update(id, { a: "2" })).toBe(false);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("a null map becomes an empty one", async () => {
      const id = newId();
      await storage.create(id, null);
      expect(await storage.load(id)).toEqual({});
      await storage.update(id, { a: "1" });
      await storage.update(id, null);
      expect(await storage.load(id)).toEqual({});
    });

    it("an empty id is an error", async () => {
      for (const call of [
        () => storage.create("", {}),
        () => storage.update("", {}),
        () => storage.load(""),
        () => storage.delete(""),
      ]) {
        await expect(call()).rejects.toThrow(InvalidSessionIdError);
      }
    });

    it("load of a missing id is undefined", async () => {
      expect(await storage.load(newId())).toBeUndefined();
    });

    it("delete is idempotent", async () => {
      const id = newId();
      await storage.create(id, {});
      await storage.delete(id);
      await storage.delete(id);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("gives copies: changing what was given or loaded changes nothing stored", async () => {
      const id = newId();
      const given = { a: "1" };
      await storage.create(id, given);
      given.a = "2";
      const loaded = await storage.load(id);
      if (loaded) loaded["a"] = "3";
      expect(await storage.load(id)).toEqual({ a: "1" });
    });

    it("load refreshes the TTL", async () => {
      const id = newId();
      await storage.create(id, { a: "1" });
      for (let i = 0; i < 3; i++) {
        await age(id, MOST_OF_TTL);
        expect(await storage.load(id)).toEqual({ a: "1" });
      }
    });

    it("update refreshes the TTL", async () => {
      const id = newId();
      await storage.create(id);
      await age(id, MOST_OF_TTL);
      await storage.update(id, { a: "1" });
      await age(id, MOST_OF_TTL);
      expect(await storage.load(id)).toEqual({ a: "1" });
    });

    it("a session that is not used for a TTL is absent, and its id free", async () => {
      const id = newId();
      await storage.create(id, { a: "1" });
      await age(id, TTL_MS);
      expect(await storage.load(id)).toBeUndefined();
      expect(await storage.update(id, { a: "2" })).toBe(false);
      expect(await storage.create(id, { a: "3" })).toBe(true);
    });

    it("counts its ids, and ranges over each of them once while nothing changes", async () => {
      expect(await storage.count()).toBe(0);
      expect(await collect(storage.range())).toEqual([]);
      const entries = Array.from({ length: 25 }, newId)
        .toSorted()
        .map((id, i) => ({ id, metadata: { n: String(i) } }));
      for (const { id, metadata } of entries) await storage.create(id, metadata);
      expect(await storage.count()).toBe(25);
      expect(await collect(storage.range({ pageSize: 4 }))).toEqual(entries);
      expect(await collect(storage.range())).toEqual(entries);
    });

    it("calls back with each entry until it gets false, or a promise of it", async () => {
      const ids = Array.from({ length: 9 }, newId).toSorted();
      for (const id of ids) await storage.create(id, { id });
      const seen: MetadataEntry[] = [];
      await storage.range((entry) => seen.push(entry), { pageSize: 4 });
      expect(seen.map(({ metadata }) => metadata["id"]).toSorted()).toEqual(ids);
      for (const answer of [() => false, async () => false]) {
        let calls = 0;
        await storage.range(() => (++calls < 2 ? undefined : answer()));
        expect(calls).toBe(2);
      }
      const problem = new Error("the callback failed");
      await expect(storage.range(() => Promise.reject(problem))).rejects.toBe(problem);
    });

    it("is closed at the end of its block by await using", async () => {
      const closed: DataStorage[] = [];
      {
        await using used = storage;
        const { close } = used;
        used.close = () => {
          closed.push(used);
          return close.call(used);
        };
      }
      expect(closed).toEqual([storage]);
    });

    it("goes on from a cursor", async () => {
      const ids = Array.from({ length: 25 }, newId).toSorted();
      for (const id of ids) await storage.create(id);
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await storage.page({ limit: 4, cursor });
        seen.push(...page.entries.map(({ id }) => id));
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(seen.toSorted()).toEqual(ids);
    });

    it("refuses a page of no entries and of too many, and a cursor that no page gave", async () => {
      for (const limit of [0, 1001, 1.5]) {
        await expect(storage.page({ limit })).rejects.toThrow(RangeError);
      }
      for (const cursor of ["", "0", "nonsense", "99999999999999999999@"]) {
        await expect(storage.page({ cursor })).rejects.toMatchObject({ code: "invalid_request" });
      }
    });

    it("ranging is not use, and gives copies", async () => {
      const id = newId();
      await storage.create(id, { a: "1" });
      await age(id, MOST_OF_TTL);
      for await (const { metadata } of storage.range()) metadata["a"] = "2";
      expect(await collect(storage.range())).toEqual([{ id, metadata: { a: "1" } }]);
      await age(id, TTL_MS - MOST_OF_TTL);
      expect(await collect(storage.range())).toEqual([]);
      expect(await storage.count()).toBe(0);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("a cancelled call rejects with the reason of its signal", async () => {
      const id = newId();
      const reason = new Error("the caller has left");
      const signal = AbortSignal.abort(reason);
      for (const call of [
        () => storage.create(id, {}, { signal }),
        () => storage.update(id, {}, { signal }),
        () => storage.load(id, { signal }),
        () => storage.delete(id, { signal }),
        () => storage.count({ signal }),
        () => storage.page({ signal }),
        () => collect(storage.range({ signal })),
      ]) {
        await expect(call()).rejects.toBe(reason);
      }
    });

    it("can be closed twice", async () => {
      await storage.close();
      await storage.close();
    });
  });
}
