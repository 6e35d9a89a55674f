/** The server's standalone stream, which is held while calls of stateless clients are under way. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import {
  ASKING_UPSTREAM_HELD_MS,
  ERA_LINGER_MS,
  UPSTREAM_HELD_MS,
  UPSTREAM_RETRY_MS,
} from "../../../../src/core/limits.ts";
import { EraListener } from "../../../../src/gateway/object/era-listener.ts";
import { notice } from "../../../support/mcp/object-in-node.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A stream of the server, as the listener reads it. */
class Stream {
  readonly signal: AbortSignal;
  #next = Promise.withResolvers<string | undefined>();
  readonly reply = {
    ok: true,
    isEventStream: true,
    messages: () => this.#messages(),
  };

  constructor(signal: AbortSignal) {
    this.signal = signal;
  }

  /** Undefined: it ends. */
  async say(text?: string): Promise<void> {
    this.#next.resolve(text);
    await vi.advanceTimersByTimeAsync(0);
  }

  async *#messages() {
    for (;;) {
      const text = await this.#next.promise;
      if (text === undefined) return;
      this.#next = Promise.withResolvers();
      yield [{ data: text }];
    }
  }
}

function listening() {
  const streams: Stream[] = [];
  const received: string[] = [];
  const listener = new EraListener({
    maxBytes: 1000,
    silenceMs: 1000,
    open: async (_headers, signal) => {
      streams.push(new Stream(signal));
      return streams.at(-1)!.reply as never;
    },
    receive: (texts) => received.push(...texts),
  });
  return { listener, streams, received };
}

it("is opened once for all calls, held for a moment after the last, and opened again where it ended", async () => {
  const { listener, streams, received } = listening();
  await Promise.all([listener.use({}), listener.use({})]);
  await streams[0]!.say(notice(1));
  await streams[0]!.say();
  await vi.advanceTimersByTimeAsync(UPSTREAM_RETRY_MS);
  expect([streams.length, received]).toEqual([2, [notice(1)]]);
  listener.release();
  listener.release();
  await vi.advanceTimersByTimeAsync(ERA_LINGER_MS - 1);
  expect(streams[1]!.signal.aborted).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect([streams[1]!.signal.aborted, listener.isReady]).toEqual([true, false]);
});

it("takes nothing of a stream that it has left, whose end leaves the next one alone", async () => {
  const { listener, streams, received } = listening();
  await listener.use({});
  listener.end();
  await listener.use({});
  await streams[0]!.say(notice("late"));
  await streams[0]!.say();
  expect(received).toEqual([]);
  expect(listener.isReady).toBe(true);
  await listener.use({});
  expect(streams).toHaveLength(2);
});

it.each([
  [undefined, UPSTREAM_HELD_MS],
  [ASKING_UPSTREAM_HELD_MS, ASKING_UPSTREAM_HELD_MS],
])("has a call wait for it so long and no longer: %s", async (given, ms) => {
  const listener = new EraListener({
    maxBytes: 1000,
    silenceMs: 1000,
    open: () => new Promise(() => undefined),
    receive: () => undefined,
  });
  let isReady = false;
  void listener.use({}, given).then(() => (isReady = true));
  await vi.advanceTimersByTimeAsync(ms - 1);
  expect(isReady).toBe(false);
  await vi.advanceTimersByTimeAsync(1);
  expect(isReady).toBe(true);
});
