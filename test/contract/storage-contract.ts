/**
 * The contract of `Storage`, run over every adapter. The promises of
 * one adapter alone are in that adapter's own test.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { decodeSession, encodeSession } from "../../src/library/model/codec.ts";
import { SESSION_TYPES } from "../../src/core/content.ts";
import { InvalidSessionIdError } from "../../src/core/errors.ts";
import { type Session, StreamableSession } from "../../src/library/model/session.ts";
import { SSESession } from "../../src/library/model/sse-session.ts";
import type { Storage } from "../../src/library/storage/storage.ts";
import { sessionWith } from "../support/session-with.ts";
import type { OpenedStorage, OpenStorage } from "./opened-storage.ts";
import { describeConditions } from "./conditions-contract.ts";
import { describeManagerOver } from "./manager-contract.ts";

const TTL_MS = 60_000;
const MOST_OF_TTL = 45_000;
const newId = () => crypto.randomUUID();

async function collect(sessions: AsyncIterable<Session>): Promise<string[]> {
  const ids: string[] = [];
  for await (const session of sessions) ids.push(session.id);
  return ids.toSorted();
}

export function describeStorage(name: string, open: OpenStorage): void {
  describe(`the contract of Storage, on ${name}`, () => {
    let storage: Storage;
    let age: OpenedStorage["age"];
    const valueOf = async (id: string) => (await storage.load(id))?.getMetadataValue("value");

    beforeEach(async () => {
      ({ storage, age } = await open(TTL_MS));
    });
    afterEach(() => storage.close());

    it("create stores a session where there is none", async () => {
      const id = newId();
      expect(await storage.create(sessionWith(id, "first"))).toBe(true);
      expect(await valueOf(id)).toBe("first");
    });

    it("create answers false where there is one, and leaves it as it was", async () => {
      const id = newId();
      await storage.create(sessionWith(id, "first"));
      expect(await storage.create(sessionWith(id, "second"))).toBe(false);
      expect(await valueOf(id)).toBe("first");
    });

    it("create is atomic: of many callers at once, one wins", async () => {
      const id = newId();
      const callers = Array.from({ length: 20 }, (_, caller) => `caller ${caller}`);
      const won = await Promise.all(
        callers.map((caller) => storage.create(sessionWith(id, caller))),
      );
      expect(won.filter(Boolean)).toHaveLength(1);
      expect(await valueOf(id)).toBe(callers[won.indexOf(true)]);
    });

    it("load of an id that never was is undefined, not an error", async () => {
      expect(await storage.load(newId())).toBeUndefined();
    });

    it("store replaces what exists, and may change the concrete type", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      await storage.store(new SSESession(id));
      const loaded = await storage.load(id);
      expect(loaded).toBeInstanceOf(SSESession);
      expect(loaded?.getMetadata()).toEqual({});
    });

    it("update replaces a session that exists", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      expect(await storage.update(sessionWith(id, "second"))).toBe(true);
      expect(await valueOf(id)).toBe("second");
    });

    it("update of a missing session is false and does not make one", async () => {
      const id = newId();
      expect(await storage.update(sessionWith(id, "late"))).toBe(false);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("update never resurrects: after a delete it is false", async () => {
      const session = sessionWith(newId(), "first");
      await storage.store(session);
      await storage.delete(session.id);
      expect(await storage.update(session)).toBe(false);
      expect(await storage.load(session.id)).toBeUndefined();
    });

    it("delete removes a session, and is idempotent", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      await storage.delete(id);
      expect(await storage.load(id)).toBeUndefined();
      await storage.delete(id);
      await storage.delete(newId());
    });

    it("create succeeds again after a delete", async () => {
      const id = newId();
      await storage.create(sessionWith(id, "first"));
      await storage.delete(id);
      expect(await storage.create(sessionWith(id, "second"))).toBe(true);
      expect(await valueOf(id)).toBe("second");
    });

    it("takes every form of one UUID for one session", async () => {
      const id = newId();
      await storage.store(sessionWith(`{${id.toUpperCase()}}`, "braces"));
      expect(await valueOf(`urn:uuid:${id}`)).toBe("braces");
      expect(await storage.create(sessionWith(id.replaceAll("-", ""), "bare"))).toBe(false);
      await storage.delete(id.toUpperCase());
      expect(await storage.load(id)).toBeUndefined();
    });

    it("refuses an empty id, in every method that takes one", async () => {
      const nameless = decodeSession("{}");
      for (const call of [
        () => storage.create(nameless),
        () => storage.store(nameless),
        () => storage.update(nameless),
        () => storage.load(""),
        () => storage.delete(""),
      ]) {
        await expect(call()).rejects.toThrow(InvalidSessionIdError);
      }
    });

    it("refuses a session that is null", async () => {
      // A caller without types can do this.
      const nothing = null as unknown as Session;
      for (const method of ["create", "store", "update"] as const) {
        await expect(storage[method](nothing)).rejects.toMatchObject({ code: "invalid_request" });
      }
    });

    it("load refreshes the TTL, and never updatedAt", async () => {
      const session = sessionWith(newId(), "first");
      await storage.store(session);
      const before = session.updatedAtText;
      for (let i = 0; i < 3; i++) {
        await age(session.id, MOST_OF_TTL);
        expect((await storage.load(session.id))?.updatedAtText).toBe(before);
      }
    });

    it.each(["store", "update"] as const)("%s refreshes the TTL", async (method) => {
      const session = sessionWith(newId(), "first");
      await storage.store(session);
      await age(session.id, MOST_OF_TTL);
      await storage[method](session);
      await age(session.id, MOST_OF_TTL);
      expect(await storage.load(session.id)).toBeDefined();
    });

    it("a session not used for a TTL is absent, and its id free", async () => {
      const session = sessionWith(newId(), "first");
      await storage.store(session);
      await age(session.id, TTL_MS);
      expect(await storage.load(session.id)).toBeUndefined();
      expect(await storage.update(session)).toBe(false);
      expect(await storage.create(sessionWith(session.id, "second"))).toBe(true);
    });

    it("deleteExpired leaves what is in use", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      await storage.deleteExpired(new Date(0));
      expect(await valueOf(id)).toBe("first");
    });

    it("deleteExpired of what is no time is refused, and removes nothing", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "first"));
      for (const before of [new Date("yesterday"), NaN]) {
        await expect(storage.deleteExpired(before)).rejects.toThrow(RangeError);
      }
      expect(await valueOf(id)).toBe("first");
    });

    it.each([...SESSION_TYPES, "quantum"])(
      "a session of type %s comes back with its type, times to the nanosecond and metadata",
      async (type) => {
        const id = newId();
        const json = `{"id":"${id}","type":"${type}","created_at":"2026-08-21T10:26:05.123456789Z","updated_at":"2026-11-22T09:00:00.000000001+02:00","metadata":{"10":"a","2":"b","__proto__":"own"}}`;
        const session = decodeSession(json);
        await storage.store(session);
        const loaded = await storage.load(id);
        expect(loaded?.constructor).toBe(session.constructor);
        expect(loaded && encodeSession(loaded)).toBe(json);
      },
    );

    it("data comes back as the same JSON, null and the text of numbers included", async () => {
      for (const data of ["null", '{"z":1.0,"a":[9007199254740993,1e3]}', '"text"', "false"]) {
        const json = `{"id":"${newId()}","type":"mcp","created_at":"2026-08-21T10:26:05Z","updated_at":"2026-08-21T10:26:05Z","data":${data}}`;
        const session = decodeSession(json);
        await storage.create(session);
        const loaded = await storage.load(session.id);
        expect(loaded && encodeSession(loaded)).toBe(json);
      }
    });

    it("a streamable session has no data", async () => {
      const session = new StreamableSession(newId());
      await storage.store(session);
      expect((await storage.load(session.id))?.getData()).toBeUndefined();
    });

    it("counts its sessions, and ranges over each of them once while nothing changes", async () => {
      expect(await storage.count()).toBe(0);
      expect(await collect(storage.range())).toEqual([]);
      const ids = Array.from({ length: 25 }, newId).toSorted();
      await Promise.all(ids.map((id) => storage.create(sessionWith(id, "x"))));
      expect(await storage.count()).toBe(25);
      expect(await collect(storage.range({ pageSize: 4 }))).toEqual(ids);
      expect(await collect(storage.range())).toEqual(ids);
    });

    it("calls back with each session, as for await gives them", async () => {
      const ids = Array.from({ length: 9 }, newId).toSorted();
      await Promise.all(ids.map((id) => storage.create(sessionWith(id, "x"))));
      const seen: string[] = [];
      // The number that push returns ends nothing: only false does.
      await storage.range(({ id }) => seen.push(id), { pageSize: 4 });
      expect(seen.toSorted()).toEqual(ids);
    });

    it.each([
      ["false", () => false],
      ["a promise of false", async () => false],
    ])("calls back no further after %s", async (_name, answer) => {
      for (let i = 0; i < 3; i++) await storage.create(sessionWith(newId(), "x"));
      let calls = 0;
      await storage.range(() => (++calls < 2 ? undefined : answer()));
      expect(calls).toBe(2);
    });

    it("waits for each callback, and ends with what one throws", async () => {
      for (let i = 0; i < 3; i++) await storage.create(sessionWith(newId(), "x"));
      const happened: string[] = [];
      const problem = new Error("the callback failed");
      const range = storage.range(async () => {
        happened.push("begins");
        await Promise.resolve();
        happened.push("ends");
        if (happened.length === 4) throw problem;
      });
      await expect(range).rejects.toBe(problem);
      expect(happened).toEqual(["begins", "ends", "begins", "ends"]);
    });

    it("goes on from a cursor", async () => {
      const ids = Array.from({ length: 25 }, newId).toSorted();
      await Promise.all(ids.map((id) => storage.create(sessionWith(id, "x"))));
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await storage.page({ limit: 4, cursor });
        seen.push(...page.sessions.map((session) => session.id));
        cursor = page.cursor;
      } while (cursor !== undefined);
      expect(seen.toSorted()).toEqual(ids);
    });

    it.each(["range", "page"] as const)(
      "a walk by %s gives what is there throughout, whatever comes and goes meanwhile",
      async (way) => {
        const ids = Array.from({ length: 30 }, newId);
        for (const id of ids) await storage.create(sessionWith(id, "x"));
        const leave = new Set(ids.slice(0, 10));
        const seen = new Set<string>();
        const meet = async (id: string) => {
          seen.add(id);
          const [gone] = leave;
          if (gone === undefined) return;
          leave.delete(gone);
          await storage.delete(gone);
          await storage.create(sessionWith(newId(), "came"));
        };
        if (way === "range")
          for await (const { id } of storage.range({ pageSize: 4 })) await meet(id);
        else {
          let cursor: string | undefined;
          do {
            const page = await storage.page({ limit: 4, cursor });
            for (const { id } of page.sessions) await meet(id);
            cursor = page.cursor;
          } while (cursor !== undefined);
        }
        for (const id of ids.slice(10)) expect(seen).toContain(id);
      },
    );

    it("refuses a page of no sessions, and of too many", async () => {
      for (const limit of [0, 1001, 1.5]) {
        await expect(storage.page({ limit })).rejects.toThrow(RangeError);
      }
    });

    it("refuses a cursor that no page gave, as a bad request", async () => {
      for (const cursor of ["", "0", "nonsense", "99999999999999999999@", "é@x"]) {
        await expect(storage.page({ cursor })).rejects.toMatchObject({ code: "invalid_request" });
      }
    });

    it("ranging is not use", async () => {
      const id = newId();
      await storage.store(sessionWith(id, "x"));
      await age(id, MOST_OF_TTL);
      expect(await collect(storage.range())).toEqual([id]);
      await age(id, TTL_MS - MOST_OF_TTL);
      expect(await collect(storage.range())).toEqual([]);
      expect(await storage.load(id)).toBeUndefined();
    });

    it("a cancelled call rejects with the reason of its signal", async () => {
      const session = sessionWith(newId(), "x");
      const reason = new Error("the caller has left");
      const signal = AbortSignal.abort(reason);
      for (const call of [
        () => storage.create(session, { signal }),
        () => storage.store(session, { signal }),
        () => storage.update(session, { signal }),
        () => storage.load(session.id, { signal }),
        () => storage.delete(session.id, { signal }),
        () => storage.update(session, { signal, ifStill: session }),
        () => storage.delete(session.id, { signal, ifStill: session }),
        () => storage.deleteExpired(0, { signal }),
        () => storage.count({ signal }),
        () => storage.page({ signal }),
        () => collect(storage.range({ signal })),
        () => storage.range(() => {}, { signal }),
      ]) {
        await expect(call()).rejects.toBe(reason);
      }
      expect(await storage.load(session.id)).toBeUndefined();
    });

    describeConditions(() => ({ storage, age }));
    describeManagerOver(() => storage);

    it("can be closed twice", async () => {
      await storage.close();
      await storage.close();
    });

    it("is closed at the end of its block by await using", async () => {
      const closed: Storage[] = [];
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
  });
}
