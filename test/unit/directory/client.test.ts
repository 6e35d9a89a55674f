/** One directory made of its shards: what it asks of which, and what it says while some fail, move or know of more. */
import { afterEach, describe, expect, it, vi } from "vitest";
import { CALL_VERSION } from "../../../src/core/caller.ts";
import { UnavailableError } from "../../../src/core/errors.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { SHARD_TIMEOUT_MS } from "../../../src/core/limits.ts";
import { loadConfig } from "../../../src/config/service.ts";
import {
  DirectoryClient,
  directoryOf,
  type DirectoryNamespace,
} from "../../../src/directory/client.ts";
import type {
  Addressed,
  DirectoryEntry,
  DirectoryMessage,
} from "../../../src/directory/contract.ts";
import { compareNewest } from "../../../src/directory/listing.ts";
import { placementOf } from "../../../src/directory/placement.ts";

type Answer = (shard: number, to: Addressed, ...rest: never[]) => unknown;

interface Called {
  readonly method: string;
  readonly shard: number;
  readonly to: Addressed;
  readonly rest: readonly unknown[];
}

/** A directory of shards that answer as these functions do. It notes each call and each failure. */
function directory(shards: number, answers: Readonly<Record<string, Answer>>) {
  const calls: Called[] = [];
  const failures: number[] = [];
  const namespace = {
    idFromName: (name: string) => name,
    get: (name: string) =>
      new Proxy(
        {},
        {
          get:
            (_target, method: string) =>
            async (to: Addressed, ...rest: never[]) => {
              const shard = Number(name.replace("shard-", ""));
              calls.push({ method, shard, to, rest });
              return answers[method]?.(shard, to, ...rest);
            },
        },
      ),
  };
  const bound = namespace as unknown as DirectoryNamespace;
  const client = new DirectoryClient(bound, shards, (shard) => failures.push(shard));
  const asked = (method: string) =>
    calls.filter((call) => call.method === method).map(({ shard }) => shard);
  return { client, calls, failures, asked, namespace: bound };
}

const idOf = (n: number) => `00000000-0000-4000-8000-${String(n).padStart(12, "0")}` as SessionId;
const entryOf = (n: number): DirectoryEntry => ({
  id: idOf(n),
  type: "mcp",
  createdAt: n,
  expiresAt: 9e15,
});
const down = () => {
  throw new Error("down");
};

/** Sessions that the shards hold by number modulo the number of shards, in pages as a shard gives them. */
const paging =
  (entries: readonly DirectoryEntry[], shards: number, moving = false): Answer =>
  (shard, _to, ...rest) => {
    const [, after, limit] = rest as unknown as [unknown, DirectoryEntry | undefined, number];
    const held = entries
      .filter(({ createdAt }) => createdAt % shards === shard)
      .filter((entry) => !after || compareNewest(after, entry) < 0)
      .toSorted(compareNewest)
      .slice(0, limit);
    return { entries: held, shards, moving };
  };

const entries = Array.from({ length: 10 }, (_, n) => entryOf(n));
const numbers = (listed: readonly DirectoryEntry[]) => listed.map(({ createdAt }) => createdAt);

afterEach(() => void vi.useRealTimers());

describe("list", () => {
  it("gives the newest of all shards, and a cursor where there are more", async () => {
    const { client, calls } = directory(3, { page: paging(entries, 3) });
    const first = await client.list({ limit: 4, subject: "alice", type: "mcp" });
    expect(numbers(first.sessions)).toEqual([9, 8, 7, 6]);
    expect(first).not.toHaveProperty("partial");
    const second = await client.list({ limit: 4, cursor: first.cursor! });
    const third = await client.list({ limit: 2, cursor: second.cursor! });
    expect([numbers(second.sessions), numbers(third.sessions)]).toEqual([
      [5, 4, 3, 2],
      [1, 0],
    ]);
    expect(third).not.toHaveProperty("cursor");
    expect(calls[0]).toMatchObject({
      to: { shard: 0, shards: 3, version: CALL_VERSION },
      rest: [{ subject: "alice", type: "mcp" }, undefined, 5],
    });
    expect(calls).toHaveLength(9);
  });

  it("reads twice while entries move, and finds one that both shards missed at first", async () => {
    let reading = 0;
    const { client } = directory(2, {
      page: (shard) => {
        if (shard === 0) reading++;
        const found = shard === 1 && reading === 2 ? [entryOf(1)] : [];
        return { entries: found, shards: 2, moving: shard === 1 };
      },
    });
    expect(numbers((await client.list({ limit: 5 })).sessions)).toEqual([1]);
    expect(reading).toBe(2);
  });

  it("keeps what the first reading found, and is partial where the last one was", async () => {
    let reading = 0;
    const flaky = (failsAt: number) =>
      directory(2, {
        page: (shard) => {
          if (shard === 0) reading++;
          if (shard === 0 && reading === failsAt) down();
          const found = reading === 1 ? [entryOf(shard)] : [];
          return { entries: found, shards: 2, moving: true };
        },
      }).client.list({ limit: 5 });
    const late = await flaky(2);
    expect([numbers(late.sessions), late.partial]).toEqual([[1, 0], true]);
    reading = 0;
    const early = await flaky(1);
    expect([numbers(early.sessions), early.partial]).toEqual([[1], undefined]);
  });

  it("is partial while a shard fails, says which, and fails where none answers", async () => {
    const some = directory(3, {
      page: (shard, to, ...rest) => (shard === 1 ? down() : paging(entries, 3)(shard, to, ...rest)),
    });
    const { sessions, partial } = await some.client.list({ limit: 20 });
    expect([numbers(sessions), partial]).toEqual([[9, 8, 6, 5, 3, 2, 0], true]);
    expect(some.failures).toEqual([1]);
    const none = directory(2, { page: down });
    await expect(none.client.list({ limit: 1 })).rejects.toThrow(UnavailableError);
    await expect(none.client.list({ limit: 1 })).rejects.toMatchObject({
      cause: { message: "down" },
    });
  });

  it("asks the shards too of which an answer tells, and the same number from then on", async () => {
    const { client, asked, calls } = directory(1, {
      page: (shard) => ({ entries: [entryOf(shard)], shards: shard === 0 ? 2 : 3, moving: false }),
    });
    expect(numbers((await client.list({ limit: 9 })).sessions)).toEqual([2, 1, 0]);
    expect([asked("page"), client.shards]).toEqual([[0, 1, 2], 3]);
    await client.list({ limit: 9 });
    expect(calls.at(-1)?.to.shards).toBe(3);
    expect(calls).toHaveLength(6);
  });
});

it("walks through all pages, each session once, and fails where a part does not answer", async () => {
  const { client, calls } = directory(2, { page: paging(entries, 2) });
  const walked: DirectoryEntry[] = [];
  for await (const entry of client.walk({ type: "mcp" }, 4)) walked.push(entry);
  expect(numbers(walked)).toEqual([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]);
  expect(calls.map(({ rest }) => rest[0])).toEqual(calls.map(() => ({ type: "mcp" })));
  const part = directory(2, {
    page: (shard, to, ...rest) => (shard === 1 ? down() : paging(entries, 2)(shard, to, ...rest)),
  });
  await expect(part.client.walk({}, 4).next()).rejects.toThrow("did not answer");
});

it("adds the counts of all shards up, and those of a revocation", async () => {
  const count: Answer = (shard) => ({ count: shard + 1, shards: 3, moving: false });
  const { client, calls } = directory(3, { count, revoke: count });
  expect(await client.count({ subject: "alice" }, ["x"])).toEqual({ count: 6 });
  expect(await client.revoke("alice", 7)).toEqual({ deleted: 6 });
  expect(calls[0]?.rest).toEqual([{ subject: "alice" }, ["x"]]);
  expect(calls[5]?.rest).toEqual(["alice", 7]);
  const failing: Answer = (shard, ...rest) => (shard === 0 ? down() : count(shard, ...rest));
  const part = directory(3, { count: failing, revoke: failing });
  expect(await part.client.count({})).toEqual({ count: 5, partial: true });
  expect(await part.client.revoke("alice", 7)).toEqual({ deleted: 5, partial: true });
});

describe("remove", () => {
  it("sends the removal again above each later message that the shard holds", async () => {
    const held = [7e12, 8e12];
    const { client, calls } = directory(4, {
      deliver: () => {
        const by = held.shift();
        return by === undefined ? { kind: "taken" } : { kind: "superseded", by };
      },
    });
    await client.remove(idOf(1));
    const sent = calls.map(({ rest }) => rest[0] as DirectoryMessage);
    expect(sent.map(({ order }) => order)).toEqual([expect.any(Number), 7e12 + 1, 8e12 + 1]);
    for (const message of sent) expect(message).toMatchObject({ op: "remove", id: idOf(1) });
  });

  it("fails where no shard takes it", async () => {
    const { client } = directory(4, { deliver: down });
    await expect(client.remove(idOf(1))).rejects.toThrow("down");
  });
});

describe("deliver", () => {
  const message = (n: number): DirectoryMessage => ({ op: "remove", order: 5, id: idOf(n) });
  /** A session that moves when there are four shards and not two. */
  const mover = Array.from({ length: 99 }, (_, n) => n).find(
    (n) => placementOf(idOf(n), 2) !== placementOf(idOf(n), 4),
  )!;
  const stayer = Array.from({ length: 99 }, (_, n) => n).find(
    (n) => placementOf(idOf(n), 2) === placementOf(idOf(n), 4),
  )!;
  const [before, after] = [placementOf(idOf(mover), 2), placementOf(idOf(mover), 4)];
  const taken = () => ({ kind: "taken" });

  it("brings a message to the session's shard, and nowhere else", async () => {
    const { client, calls } = directory(4, { deliver: taken });
    expect(await client.deliver(message(mover))).toEqual({ kind: "taken" });
    expect(await client.deliver(message(stayer), 2)).toEqual({ kind: "taken" });
    expect(calls.map(({ method, shard }) => [method, shard])).toEqual([
      ["deliver", after],
      ["deliver", placementOf(idOf(stayer), 4)],
    ]);
    expect(calls[0]?.rest).toEqual([message(mover)]);
  });

  it("takes the entry back from where it was once the new shard has it, and only then", async () => {
    const { client, calls } = directory(4, { deliver: taken, takeBack: taken });
    await client.deliver(message(mover), 2);
    expect(calls.map(({ method, shard, rest }) => [method, shard, ...rest])).toEqual([
      ["deliver", after, message(mover)],
      ["takeBack", before, idOf(mover), 5],
    ]);
    const renewing = directory(4, {
      deliver: () => ({ kind: "taken", renews: true }),
      takeBack: taken,
    });
    expect(await renewing.client.deliver(message(mover), 2)).toEqual({
      kind: "taken",
      renews: true,
    });
    const left = directory(4, { deliver: taken, takeBack: () => ({ kind: "superseded", by: 9 }) });
    expect(await left.client.deliver(message(mover), 2)).toEqual({ kind: "superseded", by: 9 });
    const late = directory(4, { deliver: () => ({ kind: "superseded", by: 9 }) });
    expect(await late.client.deliver(message(mover), 2)).toEqual({ kind: "superseded", by: 9 });
    expect(late.asked("takeBack")).toEqual([]);
    const failing = directory(4, { deliver: down });
    await expect(failing.client.deliver(message(mover), 2)).rejects.toThrow("down");
    expect(failing.asked("takeBack")).toEqual([]);
  });

  it("uses the number of shards of the last message where that is higher", async () => {
    const { client, calls } = directory(2, { deliver: taken });
    await client.deliver(message(mover), 4);
    expect(calls.map(({ method, shard }) => [method, shard])).toEqual([["deliver", after]]);
  });

  it("goes where a shard sends it that knows of more, and takes the entry back from where it was", async () => {
    const { client, calls } = directory(2, {
      deliver: (_shard, to) => (to.shards < 4 ? { kind: "elsewhere", shards: 4 } : taken()),
      takeBack: taken,
    });
    await client.deliver(message(mover), 2);
    expect(calls.map(({ method, shard }) => [method, shard])).toEqual([
      ["deliver", before],
      ["deliver", after],
      ["takeBack", before],
    ]);
  });
});

it("asks the subject's home shard for a place, of a type where one is named, and gives it back there", async () => {
  const home = placementOf("alice", 4);
  const { client, calls } = directory(4, { admit: () => true, admitOfType: () => false });
  expect(await client.admit("alice", "id", 7)).toBe(true);
  expect(await client.admit("alice", "id", 7, "task")).toBe(false);
  await client.release("alice", "id");
  expect(calls.map(({ method, shard, rest }) => [method, shard, ...rest])).toEqual([
    ["admit", home, "alice", "id", 7],
    ["admitOfType", home, "alice", "task", "id", 7],
    ["release", home, "alice", "id"],
  ]);
  const fewer = directory(1, {
    admitOfType: (_shard, to) => (to.shards < 4 ? { kind: "elsewhere", shards: 4 } : true),
  });
  expect(await fewer.client.admit("alice", "id", 7, "task")).toBe(true);
  expect(fewer.asked("admitOfType")).toEqual([0, home]);
});

it("moves rows and revocations to the shard that is named", async () => {
  const { client, calls } = directory(4, {});
  await client.absorb(3, [{ id: "a", order: 1, dropAt: 2 }]);
  await client.absorbRevocations(2, [{ subject: "alice", at: 1 }]);
  expect(calls.map(({ method, shard, to, rest }) => [method, shard, to.shard, ...rest])).toEqual([
    ["absorb", 3, 3, [{ id: "a", order: 1, dropAt: 2 }]],
    ["absorbRevocations", 2, 2, [{ subject: "alice", at: 1 }]],
  ]);
});

it("keeps its notes in the first shard", async () => {
  const { client, calls } = directory(4, { note: () => "text" });
  expect(await client.notes.read("name")).toBe("text");
  await expect(client.notes.write("name", "new")).resolves.toBeUndefined();
  expect(calls.map(({ shard, rest }) => [shard, ...rest])).toEqual([
    [0, "name", undefined],
    [0, "name", "new"],
  ]);
});

it("counts a shard as down that does not answer in time", async () => {
  vi.useFakeTimers();
  const { client, failures } = directory(2, {
    count: (shard) => (shard === 1 ? new Promise(() => undefined) : { count: 1, shards: 2 }),
  });
  const counted = client.count({});
  await vi.advanceTimersByTimeAsync(SHARD_TIMEOUT_MS - 1);
  expect(failures).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect([await counted, failures]).toEqual([{ count: 1, partial: true }, [1]]);
  const hung = new DirectoryClient(
    directory(1, { note: () => new Promise(() => undefined) }).namespace,
    1,
  );
  const note = expect(hung.notes.read("a")).rejects.toThrow(`shard 0 did not answer in 5000 ms`);
  await vi.advanceTimersByTimeAsync(SHARD_TIMEOUT_MS);
  await note;
});

it("is there where a class is bound and it has shards", async () => {
  const { namespace, asked } = directory(1, { note: () => "text" });
  const env = { DIRECTORY: namespace } as unknown as Parameters<typeof directoryOf>[0];
  expect(directoryOf(env, loadConfig({ DIRECTORY_SHARDS: "0" }))).toBeUndefined();
  expect(directoryOf({}, loadConfig({}))).toBeUndefined();
  const made = directoryOf(env, loadConfig({ DIRECTORY_SHARDS: "3" }));
  expect(made?.shards).toBe(3);
  expect(await made?.notes.read("a")).toBe("text");
  expect(asked("note")).toEqual([0]);
});
