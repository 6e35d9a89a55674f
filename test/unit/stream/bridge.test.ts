/** The bridge between a fake socket and a reader that takes only what the test takes. Time is faked. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bridge, type BridgeOptions } from "../../../src/stream/bridge.ts";
import type { StreamSocket } from "../../../src/core/host.ts";
import { CONFIRM_AFTER_MS } from "../../../src/core/limits.ts";
import { BEHIND, CONFIRM, MORE, TAKEN } from "../../../src/stream/protocol.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class FakeSocket implements StreamSocket {
  binaryType = "blob";
  readonly said: string[] = [];
  closed = false;
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  send(message: string): void {
    this.said.push(message);
  }
  close(): void {
    this.closed = true;
  }
  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.set(type, listener);
  }
  frame(text: string): void {
    this.word(new TextEncoder().encode(text).buffer);
  }
  word(data: unknown): void {
    this.#listeners.get("message")?.({ data });
  }
  end(): void {
    this.#listeners.get("close")?.({ data: undefined });
  }
}

const KEEPALIVE_MS = 1000;
const BUFFER = 1000;

function start(options: Partial<BridgeOptions> = {}) {
  const socket = new FakeSocket();
  const cuts: string[] = [];
  const body = bridge(socket, {
    keepaliveMs: KEEPALIVE_MS,
    bufferBytes: BUFFER,
    onCut: (reason) => void cuts.push(reason),
    ...options,
  });
  const reader = body.getReader();
  const take = async () => {
    const { done, value } = await reader.read();
    return done ? "END" : new TextDecoder().decode(value);
  };
  return { socket, cuts, reader, take };
}

describe("frames", () => {
  it("that waited leave as one chunk, in order", async () => {
    const { socket, take } = start();
    socket.frame("a");
    socket.frame("b");
    expect(await take()).toBe("ab");
    const next = take();
    socket.frame("c");
    expect(await next).toBe("c");
  });

  it("that are queued when the session ends are handed over before the end", async () => {
    const { socket, take } = start();
    socket.frame("last");
    socket.end();
    expect(await take()).toBe("last");
    expect(await take()).toBe("END");
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("keep-alives", () => {
  it("come each interval while nothing else does", async () => {
    const { take } = start();
    for (let n = 0; n < 3; n++) {
      const next = take();
      await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
      expect(await next).toBe(": keep-alive\n");
    }
  });
});

describe("a reader", () => {
  it("that takes nothing holds no more than the bound and one frame, and is cut by the next", async () => {
    const { socket, cuts, reader } = start();
    for (let n = 0; n < 6; n++) socket.frame("x".repeat(200));
    expect(cuts).toEqual([]);
    socket.frame("y");
    expect(cuts).toEqual(["slow"]);
    expect(socket.closed).toBe(true);
    await expect(reader.read()).rejects.toThrow("slow");
    expect(vi.getTimerCount()).toBe(0);
  });

  it("may be sent a frame larger than the bound when nothing waits", async () => {
    const { socket, cuts, take } = start();
    socket.frame("x".repeat(5 * BUFFER));
    expect((await take()).length).toBe(5 * BUFFER);
    expect(cuts).toEqual([]);
  });

  it.each([false, true])(
    "that stalls for an interval is cut within two (session ended: %s)",
    async (ended) => {
      const { socket, cuts } = start();
      socket.frame("waiting");
      if (ended) socket.end();
      await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
      expect(cuts).toEqual([]);
      await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
      expect(cuts).toEqual(["stalled"]);
      expect(vi.getTimerCount()).toBe(0);
    },
  );

  it("that leaves closes the socket and stops the clock", async () => {
    const { socket, reader } = start();
    await reader.cancel();
    expect(socket.closed).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    socket.frame("late");
  });
});

describe("the words to the object", () => {
  it("ask for the next page once this one has been taken", async () => {
    const { socket, take } = start();
    socket.frame("page 1");
    socket.word(BEHIND);
    expect(socket.said).toEqual([]);
    expect(await take()).toBe("page 1");
    const next = take();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([MORE]);
    socket.frame("page 2");
    expect(await next).toBe("page 2");
  });

  it("say that the queue was taken only after a later write has been taken too", async () => {
    const { socket, take } = start();
    socket.frame("queued");
    socket.word(CONFIRM);
    expect(await take()).toBe("queued");
    const probe = take();
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await probe).toBe(": keep-alive\n");
    expect(socket.said).toEqual([]);
    void take();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([TAKEN]);
  });
});
