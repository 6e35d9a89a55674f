/** Where keys are stored: with their events, and no longer. */
import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { sized } from "../../src/stream/event-log.ts";
import { EventChannel } from "../../src/stream/event-channel.ts";
import { Subscribers } from "../../src/stream/subscribers.ts";
import { call, make, pathOf } from "../support/call.ts";
import { evict, objectOf, storedBy } from "../support/object.ts";

const limits = { logMaxEvents: 8, logMaxBytes: 1000, streamBufferBytes: 4096 };
const keyOf = (key: string) => ({ key, fingerprint: "f" });

/** A channel with a log of eight events, in an object of its own. */
function withChannel<T>(
  run: (channel: () => EventChannel, storage: DurableObjectStorage) => T,
): Promise<T> {
  const id = crypto.randomUUID();
  return runInDurableObject(objectOf(id), (_object, ctx) => {
    const { storage } = ctx;
    const parts = { storage, subscribers: new Subscribers(ctx), limits };
    return run(() => new EventChannel(parts, "0".repeat(15), id), storage);
  });
}

const storedKeys = ({ sql }: DurableObjectStorage) =>
  sql
    .exec<{ key: string }>("SELECT key FROM keys ORDER BY key")
    .toArray()
    .map(({ key }) => key);

function fail(storage: DurableObjectStorage, fails: (query: string) => boolean): () => void {
  const { sql } = storage;
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    if (fails(query)) throw new Error("disk I/O error");
    return exec(query, ...bindings);
  }) as typeof sql.exec;
  return () => void (sql.exec = exec);
}

describe("a key", () => {
  it("is known while the last of its events is retained, and its row goes with their rows", () =>
    withChannel((open, storage) => {
      const channel = open();
      channel.append([sized({ data: "a" }), sized({ data: "b" })], keyOf("two"));
      for (let n = 0; n < 7; n++) channel.append([sized({ data: "x" })]);
      expect(channel.publishedUnder(keyOf("two"))).toEqual({ seq: 1, count: 2, fingerprint: "f" });
      channel.append([sized({ data: "y" })], keyOf("one"));
      expect(channel.publishedUnder(keyOf("two"))).toBeUndefined();
      expect(storedKeys(storage)).toEqual(["one"]);
    }));

  it("that is over is taken anew, with its row still there", () =>
    withChannel((open, storage) => {
      const channel = open();
      channel.append([sized({ data: "a" })], keyOf("k"));
      const restore = fail(storage, (query) => query.startsWith("DELETE FROM keys"));
      // Nothing is deleted while the log deletes nothing: rows go in batches.
      storage.sql.exec("UPDATE keys SET seq = 0");
      expect(channel.publishedUnder(keyOf("k"))).toBeUndefined();
      channel.append([sized({ data: "b" })], keyOf("k"));
      restore();
      expect(open().publishedUnder(keyOf("k"))).toEqual({ seq: 2, count: 1, fingerprint: "f" });
    }));

  it.each(["INSERT OR REPLACE INTO keys", "INSERT INTO events", "CREATE TABLE IF NOT EXISTS keys"])(
    "is stored if and only if its events are (%s fails)",
    (statement) =>
      withChannel((open, storage) => {
        const channel = open();
        channel.append([sized({ data: "before" })]);
        const restore = fail(storage, (query) => query.startsWith(statement));
        expect(() => channel.append([sized({ data: "a" })], keyOf("k"))).toThrow("disk I/O error");
        restore();
        expect(channel.publishedUnder(keyOf("k"))).toBeUndefined();
        const [logged] = channel.append([sized({ data: "a" })], keyOf("k"));
        expect(logged?.seq).toBe(2);
        expect(open().publishedUnder(keyOf("k"))).toMatchObject({ seq: 2, count: 1 });
      }),
  );
});

it("a publish without a key looks for no keys, and makes no table of them", async () => {
  const { id } = await make();
  await evict(id);
  await runInDurableObject(objectOf(id), (_object, { storage }) => {
    fail(storage, (query) => query.includes("keys"));
  });
  const publish = (headers?: HeadersInit) =>
    call("POST", pathOf(id, "/events"), { data: "a" }, headers);
  expect((await publish()).status).toBe(202);
  expect((await storedBy(id)).tables).toEqual(["events"]);
  expect((await publish({ "idempotency-key": "k" })).status).toBe(503);
});

it("a session that is made anew knows no key of the one before", async () => {
  const { id } = await make();
  const publish = () =>
    call("POST", pathOf(id, "/events"), { data: "a" }, { "idempotency-key": "k" });
  await publish();
  await call("DELETE", pathOf(id));
  await make({ id });
  expect((await publish()).headers.get("idempotency-replayed")).toBeNull();
});
