/** Readers whose connection is closing: they count for nothing, and no use of the session is left of them. */
import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { Subscribers } from "../../src/stream/subscribers.ts";
import { call, make, pathOf, request } from "../support/call.ts";
import { objectOf, socketsOf } from "../support/object.ts";
import { SseReader } from "../support/sse-reader.ts";

const TTL_SECONDS = 1000;

async function follow(id: string): Promise<SseReader> {
  const reader = new SseReader((await request("GET", pathOf(id, "/events"))).body!);
  await reader.until(/id: /);
  return reader;
}

/** How far ahead the session's use is credited, in seconds. */
const creditOf = (id: string) =>
  runInDurableObject(objectOf(id), (_object, { storage }) => {
    return ((storage.kv.get<number>("used-until") ?? 0) - Date.now()) / 1000;
  });

it("a reader that cannot be sent to is let go, and holds the session open no longer", async () => {
  const { id } = await make({ ttlSeconds: TTL_SECONDS });
  const reader = await follow(id);
  expect(await creditOf(id)).toBeGreaterThan(TTL_SECONDS / 2);
  await runInDurableObject(objectOf(id), (_object, ctx) => {
    for (const socket of ctx.getWebSockets()) {
      socket.send = () => {
        throw new TypeError("cannot send");
      };
    }
  });
  const { json } = await call("POST", pathOf(id, "/events"), { data: "a" });
  expect(json["writers"]).toBe(0);
  expect(await reader.rest()).toEqual([]);
  await expect.poll(() => socketsOf(id)).toBe(0);
  expect(await creditOf(id)).toBeLessThan(TTL_SECONDS / 8);
  // The reader has not taken the event, so the next one gets it.
  const next = await follow(id);
  expect((await next.take(1)).map(({ data }) => data)).toEqual(["a"]);
  await next.leave();
});

it("an object that wakes does not count a reader whose connection is closing, and lets it go", async () => {
  const { id } = await make();
  const readers = [await follow(id), await follow(id)];
  const found = await runInDurableObject(objectOf(id), (_object, ctx) => {
    const before = new Subscribers(ctx).size;
    const [socket] = ctx.getWebSockets();
    if (!socket) throw new Error("a reader has a socket");
    socket.close(4001);
    const woken = new Subscribers(ctx);
    // The socket's close event reaches an object that never knew it.
    return [before, woken.size, woken.detach(socket)?.stream];
  });
  expect(found).toEqual([2, 1, 0]);
  for (const reader of readers) await reader.leave();
});
