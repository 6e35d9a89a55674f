/**
 * The directory against a model: after any changes and faults of sessions and shards, once all
 * messages have arrived, both list exactly the same. Shards fail as a caller sees it (their method
 * throws, before or after it took the message); objects are evicted. Other faults of the network
 * are not proved here.
 */
import { runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { type SessionId } from "../../src/core/id.ts";
import { newSessionId } from "../../src/library/model/session.ts";
import { request, pathOf } from "../support/call.ts";
import { counted, directory, shard, SHARDS, walked } from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { evict, objectOf, socketsOf, storedBy, told } from "../support/object.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"] });
  vi.setSystemTime(FAR_TIME);
});
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

const IDS = 6;
const TTL = 1000;

const session = fc.nat({ max: IDS - 1 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("put" as const),
      session,
      type: fc.constantFrom("mcp", "sse", "streamable"),
      subject: fc.nat(1),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constant("delete" as const), session }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("use" as const), session }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant("wait" as const),
      seconds: fc.integer({ min: 1, max: 700 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("follow" as const), session }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("leave" as const), session }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant("evict" as const), session }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant("revoke" as const), subject: fc.nat(1) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("fail" as const),
      how: fc.constantFrom("none", "before", "after"),
    }),
  },
);

const atOnce = <T>(ids: readonly T[], act: (id: T) => Promise<unknown>) =>
  Promise.all(ids.map(act));

interface Modelled {
  type: string;
  subject: string;
  /** Infinity: a reader holds it open. */
  expires: number;
}

it("agrees with the sessions once things are calm", async () => {
  let now = FAR_TIME;
  const real = DirectoryObject.prototype.deliver;
  let failure: "none" | "before" | "after" = "none";
  vi.spyOn(DirectoryObject.prototype, "deliver").mockImplementation(async function (
    this: DirectoryObject,
    ...args: Parameters<typeof real>
  ) {
    if (failure === "before") throw new Error("lost");
    const delivery = await real.apply(this, args);
    if (failure === "after") throw new Error("answer lost");
    return delivery;
  });

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 30 }), async (steps) => {
      failure = "none";
      const ids = Array.from({ length: IDS }, newSessionId);
      const run = crypto.randomUUID();
      const subjectOf = (n: number) => `${run}-${n}`;
      const model = new Map<SessionId, Modelled>();
      const readers = new Map<SessionId, ReadableStream>();
      const used = (known: SessionId) => (readers.has(known) ? Infinity : now + TTL * 1000);
      const leave = async (known: SessionId) => {
        await readers.get(known)?.cancel();
        if (readers.delete(known)) await expect.poll(() => socketsOf(known)).toBe(0);
      };
      const id = (n: number) => ids[n]!;
      for (const s of steps) {
        vi.setSystemTime((now += 1));
        for (const [known, { expires }] of model) if (expires <= now) model.delete(known);
        switch (s.op) {
          case "wait":
            vi.setSystemTime((now += s.seconds * 1000));
            break;
          case "fail":
            failure = s.how;
            break;
          case "put": {
            const [type, subject] = [s.type, subjectOf(s.subject)];
            await request("PUT", pathOf(id(s.session)), { type, subject, ttlSeconds: TTL });
            const before = model.get(id(s.session));
            // Readers do not follow a session to another owner.
            if (before && before.subject !== subject && readers.delete(id(s.session)))
              await expect.poll(() => socketsOf(id(s.session))).toBe(0);
            model.set(id(s.session), { type, subject, expires: used(id(s.session)) });
            break;
          }
          case "delete":
            await request("DELETE", pathOf(id(s.session)));
            model.delete(id(s.session));
            await leave(id(s.session));
            break;
          case "use": {
            const known = model.get(id(s.session));
            const { status } = await request("GET", pathOf(id(s.session)));
            expect(status).toBe(known ? 200 : 404);
            if (known) known.expires = used(id(s.session));
            break;
          }
          case "follow": {
            const known = model.get(id(s.session));
            if (!known || readers.has(id(s.session))) break;
            const { body } = await request("GET", pathOf(id(s.session), "/events"));
            readers.set(id(s.session), body!);
            known.expires = Infinity;
            break;
          }
          case "leave": {
            await leave(id(s.session));
            const known = model.get(id(s.session));
            if (known) known.expires = Math.min(known.expires, now + TTL * 1000);
            break;
          }
          case "evict":
            await evict(id(s.session));
            break;
          case "revoke":
            // A shard cannot end what it was never told of: only a settled directory can promise.
            if (failure !== "none") break;
            await settle(ids);
            await request("DELETE", `/v1/sessions?subject=${subjectOf(s.subject)}`);
            for (const [known, { subject }] of model) {
              if (subject !== subjectOf(s.subject)) continue;
              model.delete(known);
              await leave(known);
            }
            break;
        }
      }
      failure = "none";
      for (const [known, { expires }] of model) if (expires <= now) model.delete(known);
      await settle(ids);

      const entries = (
        await Promise.all([0, 1].map((n) => walked({ subject: subjectOf(n) })))
      ).flat();
      const said = entries.map(({ id, type, subject }) => [id, type, subject]);
      const expected = [...model].map(([known, { type, subject }]) => [known, type, subject]);
      expect(said.toSorted()).toEqual(expected.toSorted());
      for (const entry of entries) {
        const expires = model.get(entry.id)?.expires ?? 0;
        const drift = Math.abs(Math.min(expires, now + TTL * 1000) - entry.expiresAt);
        // A quarter of the TTL may go untold; a use credited before an eviction adds up to a sixteenth.
        expect(drift).toBeLessThanOrEqual(TTL * 1000 * (1 / 4 + 1 / 16));
      }
      for (const n of [0, 1])
        expect(await counted(`subject=${subjectOf(n)}`)).toBe(
          entries.filter(({ subject }) => subject === subjectOf(n)).length,
        );
      for (const unused of ids.filter((known) => !model.has(known)))
        expect(await storedBy(unused)).toEqual({ keys: [], tables: [], alarm: null });
      await Promise.all([...readers.keys()].map(leave));
    }),
    { numRuns: 25 },
  );
});

/** Lets every session's alarm fire that is due by the end of a retry's wait. */
async function settle(ids: readonly SessionId[]): Promise<void> {
  await atOnce(ids, async (id) => {
    await told(id);
    // Fires early where nothing is due: then it only looks. An end that the first one brings is told by the second
    // where the message before it had failed.
    for (let n = 0; n < 2; n++) {
      await runDurableObjectAlarm(objectOf(id));
      await told(id);
    }
  });
}

const alarms = async (shards: number, rounds: number) => {
  for (let n = 0; n < rounds * shards; n++) await runDurableObjectAlarm(shard(n % shards));
};

// The numbers that this test and the next raise stay in force, so each begins with what it found.
it("agrees with itself over raises of DIRECTORY_SHARDS, walked meanwhile", async () => {
  const subject = crypto.randomUUID();
  let order = 0;
  /** A session's own knowledge: when it was made, and how many shards there were at its last message. */
  const sessions = new Map<SessionId, { createdAt: number; toldShards?: number }>();
  const tell = async (shards: number, op: "put" | "remove", id = newSessionId()) => {
    const client = directory(shards);
    const { createdAt, toldShards } = sessions.get(id) ?? { createdAt: ++order };
    const entry = { id, type: "mcp", subject, createdAt, expiresAt: FAR_TIME };
    const message =
      op === "put"
        ? { op, order: ++order, dropAt: FAR_TIME + 3_600_000, entry }
        : { op, order: ++order, id };
    expect(await client.deliver(message, toldShards)).toEqual({ kind: "taken" });
    if (op === "put") sessions.set(id, { createdAt, toldShards: client.shards });
    else sessions.delete(id);
  };
  await Promise.all(Array.from({ length: 150 }, () => tell(SHARDS, "put")));
  const moves = vi.spyOn(DirectoryObject.prototype, "absorb");

  let before = SHARDS;
  for (const after of [12, 18, 31]) {
    const there = [...sessions.keys()];
    const [gone, used] = [there.slice(0, 15), there.slice(15, 60)];
    const seen: string[] = [];
    // The first page tells of the raise. Some shards have moved what they had by the next one, some not.
    for await (const { id } of directory(after).walk({ subject }, 25)) {
      if (seen.push(id) % 3 > 0) continue;
      await runDurableObjectAlarm(shard((seen.length / 3) % after));
      // Meanwhile sessions are used, end and are made, the last in either version of the Worker.
      const [use, end] = [used.pop(), gone.pop()];
      if (use) await tell(after, "put", use);
      if (end) await tell(after, "remove", end);
      if (end) await tell(seen.length % 2 === 0 ? before : after, "put");
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(there.filter((id) => sessions.has(id) && !seen.includes(id))).toEqual([]);
    before = after;
  }
  expect(moves).toHaveBeenCalled();

  await alarms(before, 5);
  const entries = await walked({ subject });
  expect(entries.map(({ id }) => id).toSorted()).toEqual([...sessions.keys()].toSorted());
  // A Worker that still thinks there are eight learns better from the first answer.
  for (const known of [before, SHARDS]) {
    expect((await directory(known).count({ subject })).count).toBe(sessions.size);
  }
});

it("loses and leaves no entry where DIRECTORY_SHARDS is lowered again", async () => {
  const MORE = 40;
  const subject = crypto.randomUUID();
  const put = (shards: number, id: SessionId, order: number, was?: number) => {
    const entry = { id, type: "mcp", subject, createdAt: 1, expiresAt: FAR_TIME };
    const dropAt = FAR_TIME + 3_600_000;
    return directory(shards).deliver({ op: "put", order, dropAt, entry }, was);
  };
  const remove = (id: SessionId, was: number) =>
    directory().deliver({ op: "remove", order: 3, id }, was);
  const settled = async () => {
    await alarms(MORE, 2);
    const ids = (await walked({ subject })).map(({ id }) => id);
    return { ids: ids.toSorted(), count: (await directory().count({ subject })).count };
  };
  await directory(MORE).count({});
  // As many made before it is lowered as after.
  const old = Array.from({ length: 30 }, newSessionId);
  await atOnce(old, (id) => put(MORE, id, 1));
  const made = Array.from({ length: 30 }, newSessionId);
  await atOnce(made, (id) => put(SHARDS, id, 1));
  await atOnce(old, (id) => put(SHARDS, id, 2, MORE));
  await atOnce(made, (id) => put(SHARDS, id, 2, SHARDS));
  expect(await settled()).toEqual({ ids: [...old, ...made].toSorted(), count: 60 });
  await atOnce(old, (id) => remove(id, MORE));
  await atOnce(made, (id) => remove(id, SHARDS));
  expect(await settled()).toEqual({ ids: [], count: 0 });

  // A session's own object, which keeps to the lower number.
  const ids: string[] = [];
  for (let n = 0; n < 20; n++) {
    const response = await request("POST", "/v1/sessions", { subject });
    ids.push((await response.json<{ id: string }>()).id);
  }
  await atOnce(ids, told);
  expect((await settled()).count).toBe(20);
  await atOnce(ids, evict);
  await atOnce(ids, (id) => request("DELETE", pathOf(id)));
  await atOnce(ids, told);
  expect(await settled()).toEqual({ ids: [], count: 0 });
});
