/** A call of a later version than the object's code is refused, and changes nothing: it could be misread. */
import { env } from "cloudflare:workers";
import { expect, it } from "vitest";
import { CALL_VERSION, ERA_CALL_VERSION, type Caller } from "../../src/core/caller.ts";
import type { SessionContent } from "../../src/core/host.ts";
import type { SessionId } from "../../src/core/id.ts";
import { DirectoryObject } from "../../src/directory/directory-object.ts";
import { DurableObjectHost } from "../../src/session/object-host.ts";
import { SessionObject } from "../../src/session/session-object.ts";
import { make } from "../support/call.ts";
import { shard } from "../support/directory.ts";
import { objectOf, storedBy, told } from "../support/object.ts";

const { SESSIONS } = env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> };

const LATER = ERA_CALL_VERSION + 1;
const caller: Caller = { admin: true, version: LATER };
const content: SessionContent = { type: "mcp", metadata: {}, ttlMs: 60_000, maxLifetimeMs: 0 };
const match = { type: "streamable", upstream: "default" } as const;
const event = [{ data: "late" }];
const attachment = encodeURIComponent(JSON.stringify({ caller, start: { kind: "queued" } }));

/** Arguments of each method of a session's object, in a call of a later version. */
const CALLS: Readonly<Record<string, readonly unknown[]>> = {
  create: [caller, crypto.randomUUID(), content],
  read: [caller, true],
  upsert: [caller, crypto.randomUUID(), content],
  patch: [caller, { metadata: { late: "1" } }],
  remove: [caller],
  publish: [caller, event],
  endStream: [caller],
  readEvents: [caller, { limit: 1 }],
  disconnect: [caller],
  initialize: [
    crypto.randomUUID(),
    content,
    { upstream: "default", body: "{}", headers: {} },
    LATER,
  ],
  exchange: [caller, { match, body: "{}", batch: false, pending: [], cancels: [], headers: {} }],
  fetch: [`https://session.invalid/?attach=${attachment}`, { headers: { upgrade: "websocket" } }],
};

const to = { shard: 0, shards: 8, version: LATER };

/** The same of a shard of the directory. */
const SHARD_CALLS: Readonly<Record<string, readonly unknown[]>> = {
  deliver: [to, { op: "remove", order: 1, id: crypto.randomUUID() }],
  takeBack: [to, crypto.randomUUID(), 1],
  page: [to, {}, undefined, 1],
  count: [to, {}],
  revoke: [to, "nobody", Date.now()],
  absorb: [to, []],
  absorbRevocations: [to, []],
  admit: [to, "nobody", crypto.randomUUID(), 1],
  release: [to, "nobody", crypto.randomUUID()],
  note: [to, "name", "text"],
};

/** Methods that the platform calls, or that take nothing. */
const OTHERS = /^(constructor|alarm|webSocket.*|untilListed|forget|store)$/;

function methodsOf({ prototype }: { readonly prototype: object }): string[] {
  return Object.getOwnPropertyNames(prototype).filter((name) => !OTHERS.test(name));
}

type Stub = Readonly<Record<string, (...args: readonly unknown[]) => Promise<unknown>>>;

it.each(Object.entries(CALLS))("a session's object refuses %s", async (name, args) => {
  const { id } = await make({ metadata: { kept: "1" } });
  await told(id);
  const before = await storedBy(id);
  const object = objectOf(id) as unknown as Stub;
  await expect((async () => object[name]?.(...args))()).rejects.toThrow("older code");
  expect(await storedBy(id)).toEqual(before);
});

it.each(Object.entries(SHARD_CALLS))("a shard refuses %s", async (name, args) => {
  const object = shard(0) as unknown as Stub;
  await expect((async () => object[name]?.(...args))()).rejects.toThrow("older code");
});

it("knows every method that takes a call", () => {
  expect(Object.keys(CALLS).toSorted()).toEqual(methodsOf(SessionObject).toSorted());
  expect(Object.keys(SHARD_CALLS).toSorted()).toEqual(methodsOf(DirectoryObject).toSorted());
});

it("makes such a refusal an UnavailableError, which is answered with 503", async () => {
  // A namespace whose objects hear a later version than this code sends.
  const later = {
    idFromName: (name: string) => SESSIONS.idFromName(name),
    get(id: DurableObjectId) {
      const object = SESSIONS.get(id) as unknown as Stub;
      return {
        read: (asked: Caller, touch: boolean) =>
          object["read"]?.({ ...asked, version: LATER }, touch),
      };
    },
  } as unknown as typeof SESSIONS;
  const sessions = new DurableObjectHost(later).as({ admin: true });
  const { id } = await make();
  await expect(sessions.read(id as SessionId, false)).rejects.toMatchObject({ status: 503 });
});

it("says its version in every call of the host", async () => {
  const heard: unknown[] = [];
  const listening = {
    idFromName: (name: string) => name,
    get: () =>
      new Proxy(
        {},
        {
          get:
            (_object, name) =>
            (...args: readonly unknown[]) => {
              if (name !== "untilListed") heard.push([name, args]);
              throw new Error("enough");
            },
        },
      ),
  } as unknown as typeof SESSIONS;
  const sessions = new DurableObjectHost(listening).as({ admin: true });
  const id = crypto.randomUUID() as SessionId;
  const calls = [
    sessions.create(id, content),
    sessions.read(id, true),
    sessions.upsert(id, content),
    sessions.patch(id, {}),
    sessions.delete(id),
    sessions.publish(id, event),
    sessions.endStream(id),
    sessions.readEvents(id, { limit: 1 }),
    sessions.awaitEvents(id, "", 1),
    sessions.disconnect(id),
    sessions.subscribe(id, { kind: "queued" }),
    sessions.initialize(id, content, { upstream: "default", body: "{}", headers: {} }),
    sessions.exchange(id, { match } as never),
    sessions.follow(id, { kind: "standalone", match }),
  ];
  await Promise.allSettled(calls);
  expect(heard).toHaveLength(calls.length);
  for (const call of heard) {
    const said = JSON.stringify(call);
    expect(decodeURIComponent(said)).toMatch(
      new RegExp(`"version":${CALL_VERSION}|,${CALL_VERSION}\\]`),
    );
  }
});

it("says a later version for clients without sessions, whom an older object would answer as others", async () => {
  const heard: string[] = [];
  const listening = {
    idFromName: (name: string) => name,
    get: () =>
      new Proxy(
        {},
        {
          get:
            () =>
            (...args: readonly unknown[]) => {
              heard.push(decodeURIComponent(JSON.stringify(args)));
              throw new Error("enough");
            },
        },
      ),
  } as unknown as typeof SESSIONS;
  const sessions = new DurableObjectHost(listening).as({ subject: "s", admin: false });
  const id = crypto.randomUUID() as SessionId;
  const initialize = { upstream: "default", body: "{}", headers: {}, era: true } as const;
  const listen = { kind: "listen", match, id: "1", filter: {}, headers: {} } as const;
  await Promise.allSettled([
    sessions.initialize(id, content, initialize),
    sessions.exchange(id, { match, era: {} } as never),
    sessions.follow(id, listen),
  ]);
  expect(heard.length).toBeGreaterThanOrEqual(3);
  for (const said of heard) expect(said).toMatch(/"version":2|,2\]/);
});
