/**
 * Moments between the two sides of an await, one by one: a session ends, is made again or is lost
 * while it tells the directory of a change, and an object forgets what it has in memory.
 */
import { describe, expect, it } from "vitest";
import { newSessionId } from "../../../src/library/model/session.ts";
import type { Sessions, SessionContent } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { startPlatform, type Platform } from "../../support/platform/platform.ts";
import { Follower } from "../../support/platform/follower.ts";

const TTL = 1_600_000;
const CONTENT: SessionContent = {
  type: "mcp",
  metadata: {},
  ttlMs: TTL,
  maxLifetimeMs: 0,
  subject: "alice",
};

interface World {
  readonly platform: Platform;
  readonly sessions: Sessions;
  readonly id: SessionId;
  /** The directory has heard of everything. */
  readonly told: () => Promise<void>;
}

async function started(vars: Readonly<Record<string, string>> = {}): Promise<World> {
  const platform = startPlatform({ DIRECTORY_SHARDS: "2", ...vars });
  const sessions = platform.host().as({ admin: true });
  const id = newSessionId();
  await sessions.create(id, CONTENT);
  const told = () => platform.pass(50);
  await told();
  return { platform, sessions, id, told };
}

const listed = async (platform: Platform) =>
  (await platform.directory.list({ limit: 10 })).sessions.map(({ id, type, createdAt }) => ({
    id,
    type,
    createdAt,
  }));

/**
 * Has `act` send a message of this kind to a shard, and stops it on its way: before the shard has it, or
 * before its answer is back. The returned function lets it go on.
 */
async function held(
  platform: Platform,
  op: "put" | "remove",
  where: "before" | "after",
  act: () => Promise<unknown>,
): Promise<() => void> {
  const arrived = Promise.withResolvers<void>();
  const going = Promise.withResolvers<void>();
  platform.intercept = async (call, go, args) => {
    const message = args[1] as { op?: string } | undefined;
    if (!call.endsWith("deliver") || message?.op !== op) return go();
    platform.intercept = (_call, go) => go();
    const answer = where === "after" ? await go() : undefined;
    arrived.resolve();
    await going.promise;
    return where === "after" ? answer : go();
  };
  await act();
  await platform.pass(20);
  await arrived.promise;
  return () => going.resolve();
}

describe.each(["before", "after"] as const)(
  "while a message waits %s its shard takes it",
  (where) => {
    it("a session that is made again outlives the answer to its predecessor's removal", async () => {
      const { platform, sessions, id, told } = await started();
      const goOn = await held(platform, "remove", where, () => sessions.delete(id));
      const again = await sessions.create(id, { ...CONTENT, type: "sse" });
      const { ids } = await sessions.publish(id, [{ data: "kept" }]);
      goOn();
      await told();
      platform.session(id).evict();
      expect(await sessions.read(id, false)).toMatchObject({ type: "sse", version: again.version });
      const { events } = await sessions.readEvents(id, { limit: 10 });
      expect(events).toEqual([{ id: ids[0], data: "kept" }]);
      expect(await listed(platform)).toEqual([{ id, type: "sse", createdAt: again.createdAt }]);
    });

    it("an end is told once the answer to the put before it is there", async () => {
      const { platform, sessions, id, told } = await started();
      const goOn = await held(platform, "put", where, () =>
        sessions.upsert(id, { ...CONTENT, type: "sse" }),
      );
      await sessions.delete(id);
      goOn();
      await told();
      expect(await listed(platform)).toEqual([]);
      expect(platform.session(id).disk.left).toEqual([]);
    });

    it("an end is told although the object is lost with the answer to the put before it", async () => {
      const { platform, sessions, id } = await started();
      const goOn = await held(platform, "put", where, () =>
        sessions.upsert(id, { ...CONTENT, type: "sse" }),
      );
      await sessions.delete(id);
      platform.session(id).kill();
      goOn();
      await platform.pass(3000);
      expect(await listed(platform)).toEqual([]);
      expect(platform.session(id).disk.left).toEqual([]);
    });

    it("a session that is made again and ends again leaves nothing", async () => {
      const { platform, sessions, id, told } = await started();
      const goOn = await held(platform, "remove", where, () => sessions.delete(id));
      await sessions.create(id, CONTENT);
      await sessions.delete(id);
      goOn();
      await told();
      await platform.pass(3000);
      expect(await listed(platform)).toEqual([]);
      expect(platform.session(id).disk.left).toEqual([]);
    });

    it("a change of owner is listed and counted once the answer to the put before it is there", async () => {
      const { platform, sessions, id, told } = await started();
      const goOn = await held(platform, "put", where, () =>
        sessions.upsert(id, { ...CONTENT, type: "sse" }),
      );
      await sessions.upsert(id, { ...CONTENT, subject: "bob" });
      goOn();
      await told();
      const counts = ["alice", "bob"].map((subject) => platform.directory.count({ subject }));
      expect(await Promise.all(counts)).toEqual([{ count: 0 }, { count: 1 }]);
    });
  },
);

it("an owner who has the session back is listed, though the answer about the other one was lost", async () => {
  const { platform, sessions, id, told } = await started();
  platform.intercept = async (call, go) => {
    const answer = await go();
    if (call.endsWith("deliver")) throw new Error("the answer was lost");
    return answer;
  };
  await sessions.upsert(id, { ...CONTENT, subject: "bob" });
  await told();
  platform.intercept = (_call, go) => go();
  await sessions.upsert(id, CONTENT);
  await platform.pass(20_000);
  const { sessions: found } = await platform.directory.list({ limit: 10 });
  expect(found.map(({ subject }) => subject)).toEqual(["alice"]);
  const counts = ["alice", "bob"].map((subject) => platform.directory.count({ subject }));
  expect(await Promise.all(counts)).toEqual([{ count: 1 }, { count: 0 }]);
});

it("a shard that hangs delays what is told, and loses none of it", async () => {
  const { platform, sessions, id } = await started();
  platform.intercept = (call, go) =>
    call.startsWith("shard") ? new Promise(() => undefined) : go();
  await sessions.delete(id);
  const again = await sessions.create(id, CONTENT);
  await platform.pass(6000);
  platform.session(id).kill();
  platform.intercept = (_call, go) => go();
  // After the crash its next use tells the directory.
  await sessions.read(id, true);
  await platform.pass(20_000);
  expect(await listed(platform)).toEqual([{ id, type: "mcp", createdAt: again.createdAt }]);
});

it("the order of messages goes on after an end whose object is lost, with the clock set back", async () => {
  const { platform, sessions, id } = await started();
  await sessions.delete(id);
  await platform.pass(50);
  platform.session(id).kill();
  const again = await sessions.create(id, { ...CONTENT, type: "sse" });
  await platform.pass(50);
  expect(await listed(platform)).toEqual([{ id, type: "sse", createdAt: again.createdAt }]);
});

it("an event reaches no reader before it is durable, and none if the object dies first", async () => {
  const { platform, sessions, id } = await started();
  const follower = await Follower.of(sessions, id);
  const commits: (() => void)[] = [];
  platform.gate = (what) =>
    what.endsWith("commits") ? new Promise((go) => commits.push(go)) : Promise.resolve();
  const published = sessions.publish(id, [{ data: "x" }]);
  await platform.pass(10);
  expect(follower.data).toEqual([]);
  commits.splice(0).forEach((go) => go());
  await published;
  expect(follower.data).toEqual(["x"]);
  const lost = sessions.publish(id, [{ data: "lost" }]);
  await platform.pass(10);
  platform.session(id).kill();
  await expect(lost).rejects.toThrow();
  commits.splice(0).forEach((go) => go());
  platform.gate = () => Promise.resolve();
  expect(follower.data).toEqual(["x"]);
  expect((await sessions.readEvents(id, { limit: 10 })).events.map(({ data }) => data)).toEqual([
    "x",
  ]);
});

describe("use", () => {
  const uses: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
    read: ({ sessions, id }) => sessions.read(id, true),
    publish: ({ sessions, id }) => sessions.publish(id, [{ data: "x" }]),
    "publish again under its key": ({ sessions, id }) =>
      sessions.publish(id, [{ data: "first" }], "key"),
    "read of events": ({ sessions, id }) => sessions.readEvents(id, { limit: 1 }),
    patch: ({ sessions, id }) => sessions.patch(id, {}),
    put: ({ sessions, id }) => sessions.upsert(id, CONTENT),
    disconnect: ({ sessions, id }) => sessions.disconnect(id),
    "end of the stream": ({ sessions, id }) => sessions.endStream(id, { data: "last" }),
  };

  it.each(Object.keys(uses))(
    "a session that has no other use than %s lives on by it",
    async (name) => {
      const world = await started();
      const { platform, sessions, id } = world;
      await sessions.publish(id, [{ data: "first" }], "key");
      for (let n = 0; n < 3; n++) {
        await platform.pass(0.75 * TTL);
        await uses[name]!(world);
      }
      await platform.pass(TTL - 200);
      expect((await sessions.read(id, false)).id).toBe(id);
      await platform.pass(200);
      await expect(sessions.read(id, false)).rejects.toThrow(/session/i);
    },
  );

  const looks: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
    "a read without touch": ({ sessions, id }) => sessions.read(id, false),
    "a read of events without touch": ({ sessions, id }) =>
      sessions.readEvents(id, { limit: 1, touch: false }),
    "a publish that is refused": ({ sessions, id }) =>
      sessions.publish(id, [{ data: "x".repeat(1024 * 1024 + 1) }]).catch(() => undefined),
    "a stranger's call": ({ platform, id }) =>
      platform.session(id).call("read", [{ admin: false, subject: "bob" }, true]),
  };

  it.each(Object.keys(looks))("is not %s", async (name) => {
    const world = await started();
    const { platform, sessions, id } = world;
    await platform.pass(0.75 * TTL);
    await looks[name]!(world);
    await platform.pass(0.25 * TTL);
    await expect(sessions.read(id, false)).rejects.toThrow(/session/i);
  });
});

it("the counts of a subject are those of its sessions after a hand-over, also if it came twice", async () => {
  const platform = startPlatform({ DIRECTORY_SHARDS: "2" });
  const sessions = platform.host().as({ admin: true });
  const ids = Array.from({ length: 12 }, newSessionId);
  for (const [n, id] of ids.entries()) {
    await sessions.create(id, { ...CONTENT, subject: n % 2 === 0 ? "alice" : "bob" });
  }
  await platform.pass(50);
  // The first batch arrives, and its answer is lost: the same rows come again.
  platform.intercept = async (call, go) => {
    const answer = await go();
    if (!call.endsWith(" absorb")) return answer;
    platform.intercept = (_call, go) => go();
    throw new Error("answer lost");
  };
  const more = platform.directoryOf(5);
  await more.count({});
  for (let n = 0; n < 6; n++) await platform.pass(6000);
  const { sessions: entries } = await more.list({ limit: 100 });
  expect(entries.map(({ id }) => id).toSorted()).toEqual(ids.toSorted());
  for (const subject of ["alice", "bob"])
    expect(await more.count({ subject })).toEqual({ count: 6 });
  expect(await more.count({})).toEqual({ count: 12 });
});
