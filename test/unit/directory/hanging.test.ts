/** Shards of the directory that do not answer: a call waits for one five seconds and no longer, and does without it. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { UnavailableError } from "../../../src/core/errors.ts";
import { requireSessionId } from "../../../src/core/id.ts";
import { SHARD_TIMEOUT_MS } from "../../../src/core/limits.ts";
import { Admission } from "../../../src/directory/admission.ts";
import { DirectoryClient, type DirectoryNamespace } from "../../../src/directory/client.ts";
import type { DirectoryMessage, DirectoryShard } from "../../../src/directory/contract.ts";
import { placementOf } from "../../../src/directory/placement.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ID = requireSessionId("0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55");
const SHARDS = 4;
const entry = (n: number) => ({
  id: requireSessionId(`0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a5${n}`),
  type: "mcp" as const,
  createdAt: n,
  expiresAt: 1000,
});
const never = <T>() => new Promise<T>(() => undefined);

/** A directory whose shards of these numbers hang. Records what each shard was asked. */
function hanging(hung: readonly number[], others: Partial<DirectoryShard> = {}) {
  const asked: string[] = [];
  const layout = { shards: SHARDS, moving: false };
  const shard = (n: number): Partial<DirectoryShard> => ({
    page: async () => ({ ...layout, entries: [entry(n)] }),
    count: async () => ({ ...layout, count: 1 }),
    revoke: async () => ({ ...layout, count: 1 }),
    deliver: async () => ({ kind: "taken" }),
    admit: async () => true,
    release: async () => undefined,
    note: async () => "noted",
    ...others,
  });
  const stubOf = (n: number) =>
    new Proxy(shard(n), {
      get:
        (target, name: keyof DirectoryShard) =>
        (...given: readonly unknown[]) => {
          asked.push(`${n} ${name}`);
          // Each method of a shard is called with what it is meant for.
          const method = target[name] as ((...all: readonly unknown[]) => unknown) | undefined;
          return hung.includes(n) ? never() : method?.(...given);
        },
    });
  const namespace = {
    idFromName: (name: string) => name,
    get: (name: string) => stubOf(Number(/\d+/.exec(name)?.[0])),
  };
  const failed: number[] = [];
  const client = new DirectoryClient(namespace as unknown as DirectoryNamespace, SHARDS, (n) => {
    failed.push(n);
  });
  return { client, asked, failed };
}

/** Settles within five seconds, and not before: returns the value or the failure. */
async function inFiveSeconds(call: Promise<unknown>): Promise<unknown> {
  let settled: { readonly value: unknown } | undefined;
  const done = call.then(
    (value) => (settled = { value }),
    (value: unknown) => (settled = { value }),
  );
  await vi.advanceTimersByTimeAsync(SHARD_TIMEOUT_MS - 1);
  expect(settled).toBeUndefined();
  await vi.advanceTimersByTimeAsync(1);
  expect(settled).toBeDefined();
  return (await done).value;
}

it("lists, counts and revokes in the others, and says that it is a part", async () => {
  const { client, failed } = hanging([1]);
  const list = await inFiveSeconds(client.list({ limit: 10 }));
  expect(list).toEqual({ sessions: [entry(3), entry(2), entry(0)], partial: true });
  expect(await inFiveSeconds(client.count({}))).toEqual({ count: 3, partial: true });
  expect(await inFiveSeconds(client.revoke("a", 1))).toEqual({ deleted: 3, partial: true });
  expect(failed).toEqual([1, 1, 1]);
});

it("says that it cannot tell where all of them hang", async () => {
  const { client } = hanging([0, 1, 2, 3]);
  expect(await inFiveSeconds(client.list({ limit: 10 }))).toBeInstanceOf(UnavailableError);
  expect(await inFiveSeconds(client.count({}))).toBeInstanceOf(UnavailableError);
});

it("does not walk over a part of the sessions as if it were all", async () => {
  const { client } = hanging([2]);
  const walk = client.walk({}, 10).next();
  expect(await inFiveSeconds(walk)).toBeInstanceOf(UnavailableError);
});

it("fails to deliver a message, so that its session sends it again", async () => {
  const place = placementOf(ID, SHARDS);
  const { client, asked } = hanging([place]);
  const message: DirectoryMessage = { op: "remove", id: ID, order: 7 };
  expect(await inFiveSeconds(client.deliver(message))).toMatchObject({
    message: expect.stringContaining("did not answer") as string,
  });
  expect(asked).toEqual([`${place} deliver`]);
});

it("waits for nothing where the shards answer, and leaves no timer behind", async () => {
  const { client } = hanging([]);
  expect(await client.count({})).toEqual({ count: 4 });
  expect(await client.deliver({ op: "remove", id: ID, order: 7 })).toEqual({ kind: "taken" });
  expect(vi.getTimerCount()).toBe(0);
});

it("makes the session where the shard that counts its subject's hangs, with every limit", async () => {
  const { client } = hanging([placementOf("alice", SHARDS)]);
  const made: string[] = [];
  const making = new Admission(client, 1).run(
    "alice",
    ID,
    async () => (made.push("made"), "session"),
    async () => void made.push("listed"),
  );
  await vi.advanceTimersByTimeAsync(SHARD_TIMEOUT_MS);
  expect(made).toEqual(["made", "listed"]);
  await vi.advanceTimersByTimeAsync(SHARD_TIMEOUT_MS);
  expect(await making).toBe("session");
});

it("gives its place back where the session could not be made, and refuses where there is none", async () => {
  const { client, asked } = hanging([]);
  const lost = new Admission(client, 1).run(
    "alice",
    ID,
    () => Promise.reject(new UnavailableError()),
    async () => undefined,
  );
  await expect(lost).rejects.toThrow(UnavailableError);
  expect(asked.map((one) => one.split(" ")[1])).toEqual(["admit", "release"]);
  const full = hanging([], { admit: async () => false });
  const make = vi.fn(async () => undefined);
  const refused = new Admission(full.client, 1).run("alice", ID, make, async () => undefined);
  await expect(refused).rejects.toMatchObject({ code: "rate_limited" });
  expect([make.mock.calls.length, full.asked.length]).toEqual([0, 1]);
});

it("reads a note from a shard that answers alone", async () => {
  expect(await hanging([1, 2, 3]).client.notes.read("era")).toBe("noted");
  const late = hanging([0]).client.notes.read("era");
  expect(await inFiveSeconds(late)).toBeInstanceOf(Error);
});
