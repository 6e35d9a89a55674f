/** The object announces an end once it is durable. */
import { expect, it, vi } from "vitest";
import type { Outbox } from "../../../src/directory/outbox.ts";
import type { StoredSession } from "../../../src/session/record.ts";
import { Lifecycle } from "../../../src/session/lifecycle.ts";

const NOW = Date.UTC(2026, 10, 29);
const record = {
  id: "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55",
  epoch: "0mx1nj9lazujs46",
  metadata: {},
  createdAt: NOW,
  updatedAt: NOW,
  ttlMs: 60_000,
} as unknown as StoredSession;

/** A life whose storage becomes durable by `sync`, and what it does in turn. */
function life(sync: () => Promise<void>, isHeld = false) {
  const done: string[] = [];
  const note = (what: string) => (): void => void done.push(what);
  const changed = vi.fn<Outbox["changed"]>();
  const ctx = {
    storage: { sync },
    blockConcurrencyWhile: (work: () => Promise<unknown>) => work(),
    waitUntil: () => undefined,
  };
  const parts = {
    ctx,
    records: {
      loadSession: () => record,
      loadUsedUntil: () => NOW,
      saveUsedUntil: () => undefined,
    },
    outbox: { ended: note("storage is cleared"), changed },
    channel: { storage: { sql: {} }, subscribers: { isEmpty: !isHeld, closeAll: note("readers") } },
    waiters: { isEmpty: true, notifyAll: note("waiters") },
    gateway: {
      isWaiting: false,
      loaded: () => undefined,
      waiting: () => () => undefined,
      silence: () => {
        done.push("the gateway stores nothing more");
        return note("upstream");
      },
    },
    tasks: {
      takeUp: () => undefined,
      farewell: () => {
        done.push("the task is looked at");
        return note("the task's call");
      },
    },
    log: { debug: () => undefined, info: note("log") },
  };
  return {
    done,
    changed,
    life: new Lifecycle(parts as unknown as ConstructorParameters<typeof Lifecycle>[0]),
  };
}

const STORED = ["the task is looked at", "storage is cleared", "the gateway stores nothing more"];

it("tells readers, upstream and log of an end when it is durable, and not before", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { done, life: one } = life(() => promise);
  const ended = one.end(one.load(NOW)!, "deleted", NOW);
  expect(done).toEqual(STORED);
  resolve();
  await ended;
  expect(done.slice(STORED.length).toSorted()).toEqual([
    "log",
    "readers",
    "the task's call",
    "upstream",
    "waiters",
  ]);
});

it("tells nobody of an end that does not become durable", async () => {
  const { done, life: one } = life(() => Promise.reject(new Error("disk full")));
  await expect(one.end(one.load(NOW)!, "expired", NOW)).rejects.toThrow("disk full");
  expect(done).toEqual(STORED);
});

it("ends streams when what was stored before is durable", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { done, life: one } = life(() => promise);
  const ended = one.endStreams();
  expect(done).toEqual([]);
  resolve();
  await ended;
  expect(done.toSorted()).toEqual(["readers", "waiters"]);
});

it.each([
  [true, { heldAt: NOW + 5 }],
  [false, {}],
])("tells the directory whether something holds the session open: %s", (isHeld, held) => {
  const { life: one, changed } = life(async () => undefined, isHeld);
  one.touch(one.load(NOW)!, NOW + 5);
  const [listed] = changed.mock.lastCall!;
  expect(listed).toEqual({ session: record, deadline: expect.any(Number) as number, ...held });
});
