import { describe, expect, it } from "vitest";
import { noAnswer } from "../../../src/client/error.ts";
import { FollowedEvent, type Followed, type FollowOptions } from "../../../src/client/follow.ts";
import { SessionStore } from "../../../src/react/session-store.ts";

const event = (id: string) => new FollowedEvent(id, "message", `data of ${id}`);
const GAP = { type: "gap", requested: "e1", earliest: "e5" } as const;

/** A stream that a test feeds, one for each start. */
class Feed {
  readonly options: FollowOptions;
  readonly #items: (Followed | Error)[] = [];
  #wake = (): void => {};

  constructor(options: FollowOptions) {
    this.options = options;
    options.signal?.addEventListener("abort", () => this.#wake());
  }

  async send(...items: readonly (Followed | Error)[]): Promise<void> {
    this.#items.push(...items);
    this.#wake();
    await new Promise(setImmediate);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Followed> {
    for (;;) {
      this.options.signal?.throwIfAborted();
      const item = this.#items.shift();
      if (item instanceof Error) throw item;
      if (item) yield item;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

function make({ maxEvents = 100, lastEventId }: { maxEvents?: number; lastEventId?: string } = {}) {
  const feeds: Feed[] = [];
  const items: Followed[] = [];
  const tasks: (() => void)[] = [];
  let told = 0;
  const store = new SessionStore({
    follow: (options) => {
      const feed = new Feed(options);
      feeds.push(feed);
      return feed;
    },
    maxEvents,
    lastEventId,
    onItem: (item) => items.push(item),
    schedule: (task) => tasks.push(task),
  });
  store.subscribe(() => told++);
  const show = () => {
    for (const task of tasks.splice(0)) task();
    return store.view();
  };
  return { store, feeds, items, show, told: () => told };
}

describe("the view of a stream", () => {
  it("without a session is idle, and nothing is followed", () => {
    const store = new SessionStore({ maxEvents: 1, onItem: () => {} });
    store.start()();
    expect(store.view()).toMatchObject({ events: [], status: "idle", lastEventId: undefined });
  });

  it("shows what came together at once, and stays the same object otherwise", async () => {
    const { store, feeds, items, show, told } = make();
    const first = store.view();
    expect(first).toMatchObject({ status: "connecting", events: [] });
    store.start();
    const [feed] = feeds;
    feed?.options.onOpen?.();
    await feed?.send(event("e1"), event("e2"), GAP, event("e5"));
    expect([store.view() === first, told()]).toEqual([true, 0]);
    const { events } = show();
    expect(store.view()).toMatchObject({ status: "open", lastEventId: "e5", gap: GAP });
    expect(events.map(({ id }) => id)).toEqual(["e1", "e2", "e5"]);
    expect(told()).toBe(1);
    expect(items).toEqual([event("e1"), event("e2"), GAP, event("e5")]);
    await feed?.send(event("e6"));
    expect(show().events.slice(0, 3)).toEqual(events);
    expect(events).toHaveLength(3);
    expect(store.view()).toBe(store.view());
  });

  it("says that it reconnects, and why, until it is open again", () => {
    const { store, feeds, show } = make();
    store.start();
    const why = noAnswer("away");
    feeds[0]?.options.onRetry?.(why, 1000);
    expect(show()).toMatchObject({ status: "reconnecting", error: why });
    feeds[0]?.options.onOpen?.();
    expect(show()).toMatchObject({ status: "open", error: undefined });
  });

  it.each(["ended", "expired", "deleted"] as const)("%s is the end", async (reason) => {
    const { store, feeds, show } = make();
    store.start();
    await feeds[0]?.send(event("e1"), { type: "end", reason });
    expect(show()).toMatchObject({ status: reason, lastEventId: "e1" });
    store.start();
    expect(feeds).toHaveLength(1);
  });

  it("a refusal is the end too, and stays to be read", async () => {
    const { store, feeds, show } = make();
    store.start();
    const refusal = new Error("404 session_not_found");
    await feeds[0]?.send(event("e1"), refusal);
    expect(show()).toMatchObject({ status: "failed", error: refusal, lastEventId: "e1" });
    store.start();
    expect(feeds).toHaveLength(1);
  });

  it("stopped and started again, it goes on after the last event, once for each", async () => {
    const { store, feeds, items, show } = make({ lastEventId: "e0" });
    const stop = store.start();
    await feeds[0]?.send(event("e1"));
    stop();
    await feeds[0]?.send(event("e2"));
    store.start();
    await feeds[1]?.send(event("e2"), event("e3"));
    expect(feeds.map(({ options }) => options.lastEventId)).toEqual(["e0", "e1"]);
    expect(show().events.map(({ id }) => id)).toEqual(["e1", "e2", "e3"]);
    expect(items).toHaveLength(3);
    expect(store.view().status).toBe("connecting");
  });

  it("keeps the last events, as many as it may", async () => {
    const { store, feeds, items, show } = make({ maxEvents: 2 });
    store.start();
    await feeds[0]?.send(event("e1"), event("e2"), event("e3"));
    expect(show().events.map(({ id }) => id)).toEqual(["e2", "e3"]);
    expect(items).toHaveLength(3);
  });
});
