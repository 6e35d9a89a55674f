/**
 * The directory against a model: whatever happens to sessions and shards, once
 * things are calm both say exactly the same. Shards fail as a caller sees it (their
 * method throws, before or after it took the message); objects are evicted. What
 * the network does beyond that is not proved here.
 */
import { runDurableObjectAlarm } from "cloudflare:test";
import fc from "fast-check";
import { afterEach, expect, it, vi } from "vitest";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { newSessionId, type SessionId } from "../../src/session/id.ts";
import { request, pathOf } from "../support/call.ts";
import { counted, directory, shard, SHARDS, walked } from "../support/directory.ts";
import { FAR_TIME } from "../support/far-time.ts";
import { evict, objectOf, storedBy, told } from "../support/object.ts";

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

interface Modelled {
  type: string;
  subject: string;
  expires: number;
}

it("agrees with the sessions once things are calm", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
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
            model.set(id(s.session), { type, subject, expires: now + TTL * 1000 });
            break;
          }
          case "delete":
            await request("DELETE", pathOf(id(s.session)));
            model.delete(id(s.session));
            break;
          case "use": {
            const known = model.get(id(s.session));
            const { status } = await request("GET", pathOf(id(s.session)));
            expect(status).toBe(known ? 200 : 404);
            if (known) known.expires = now + TTL * 1000;
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
            for (const [known, { subject }] of model)
              if (subject === subjectOf(s.subject)) model.delete(known);
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
        const drift = Math.abs((model.get(entry.id)?.expires ?? 0) - entry.expiresAt);
        // A quarter of the TTL may go untold; a use credited before an eviction adds up to a sixteenth.
        expect(drift).toBeLessThanOrEqual(TTL * 1000 * (1 / 4 + 1 / 16));
      }
      for (const n of [0, 1])
        expect(await counted(`subject=${subjectOf(n)}`)).toBe(
          entries.filter(({ subject }) => subject === subjectOf(n)).length,
        );
      for (const unused of ids.filter((known) => !model.has(known)))
        expect(await storedBy(unused)).toEqual({ keys: [], tables: [], alarm: null });
    }),
    { numRuns: 25 },
  );
});

/** Lets every session's alarm fire that is due by the end of a retry's wait. */
async function settle(ids: readonly SessionId[]): Promise<void> {
  for (const id of ids) {
    await told(id);
    // Fires early where nothing is due: then it only looks.
    await runDurableObjectAlarm(objectOf(id));
    await told(id);
  }
}

it("agrees with itself while DIRECTORY_SHARDS is raised, and after", async () => {
  const subject = crypto.randomUUID();
  const kept = new Set<string>();
  const before = 3;
  const OLD = 450;
  const told = (shards: number, op: "put" | "remove", id: SessionId, order: number, was?: number) =>
    directory(shards).deliver(
      op === "remove"
        ? { op, order, id }
        : {
            op,
            order,
            dropAt: Date.now() + 3_600_000,
            entry: { id, type: "mcp", subject, createdAt: order, expiresAt: Date.now() + 60_000 },
          },
      was,
    );
  const old = Array.from({ length: OLD }, newSessionId);
  for (const [n, id] of old.entries()) await told(before, "put", id, n + 1);
  for (const id of old) kept.add(id);
  expect((await directory(before).count({ subject })).count).toBe(OLD);

  // The first call of a Worker with more shards begins the move; a walk goes on during it.
  const seen: string[] = [];
  let turn = 0;
  for await (const { id } of directory(SHARDS).walk({ subject }, 40)) {
    seen.push(id);
    if (++turn % 40 === 0) await runDurableObjectAlarm(shard(turn % before));
    // Meanwhile sessions are made, end, and move their deadlines, in either version of the Worker.
    if (turn % 45 === 0) {
      const gone = old[OLD - turn / 45]!;
      await told(SHARDS, "remove", gone, 2000 + turn, before);
      kept.delete(gone);
      const moved = old[turn / 45]!;
      await told(SHARDS, "put", moved, 2000 + turn, before);
      const made = newSessionId();
      await told(turn % 2 === 0 ? before : SHARDS, "put", made, 3000 + turn);
      kept.add(made);
    }
  }
  expect(new Set(seen).size).toBe(seen.length);
  const changed = 10;
  const lived = old.slice(changed + 1, OLD - changed);
  expect(lived.filter((id) => !seen.includes(id))).toEqual([]);

  for (let n = 0; n < 6 * before; n++) await runDurableObjectAlarm(shard(n % before));
  const entries = await walked({ subject });
  expect(entries.map(({ id }) => id as string).toSorted()).toEqual([...kept].toSorted());
  expect((await directory(SHARDS).count({ subject })).count).toBe(kept.size);
  // A Worker that still thinks there are three learns better from the first answer.
  expect((await directory(before).count({ subject })).count).toBe(kept.size);
});

// Last in its file: the number that it raises stays in force.
it("loses and leaves no entry where DIRECTORY_SHARDS is lowered again", async () => {
  const MORE = 12;
  const subject = crypto.randomUUID();
  const put = (shards: number, id: SessionId, order: number, was?: number) => {
    const [createdAt, expiresAt] = [1, Date.now() + 60_000];
    const entry = { id, type: "mcp", subject, createdAt, expiresAt };
    const dropAt = Date.now() + 3_600_000;
    return directory(shards).deliver({ op: "put", order, dropAt, entry }, was);
  };
  const settled = async () => {
    for (let n = 0; n < 2 * MORE; n++) await runDurableObjectAlarm(shard(n % MORE));
    const ids = (await walked({ subject })).map(({ id }) => id);
    return { ids: ids.toSorted(), count: (await directory().count({ subject })).count };
  };
  await directory(MORE).count({});
  // As many made before it is lowered as after.
  const old = Array.from({ length: 30 }, newSessionId);
  for (const id of old) await put(MORE, id, 1);
  const made = Array.from({ length: 30 }, newSessionId);
  for (const id of made) await put(SHARDS, id, 1);
  for (const id of old) await put(SHARDS, id, 2, MORE);
  for (const id of made) await put(SHARDS, id, 2, SHARDS);
  expect(await settled()).toEqual({ ids: [...old, ...made].toSorted(), count: 60 });
  for (const id of old) await directory().deliver({ op: "remove", order: 3, id }, MORE);
  for (const id of made) await directory().deliver({ op: "remove", order: 3, id }, SHARDS);
  expect(await settled()).toEqual({ ids: [], count: 0 });

  // A session's own object, which keeps to the lower number.
  const ids: string[] = [];
  for (let n = 0; n < 20; n++) {
    const response = await request("POST", "/v1/sessions", { subject });
    ids.push((await response.json<{ id: string }>()).id);
  }
  for (const id of ids) await told(id);
  expect((await settled()).count).toBe(20);
  for (const id of ids) await evict(id);
  for (const id of ids) await request("DELETE", pathOf(id));
  for (const id of ids) await told(id);
  expect(await settled()).toEqual({ ids: [], count: 0 });
});
