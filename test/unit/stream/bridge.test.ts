/** The bridge between a fake socket and a reader that takes only what the test takes. Time is faked. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { bridge, type BridgeOptions } from "../../../src/stream/bridge.ts";
import type { StreamSocket } from "../../../src/core/host.ts";
import {
  CONFIRM_AFTER_MS,
  CONFIRM_SOON_MS,
  PIECE_BYTES,
  SLOW_LINK_BYTES_PER_S,
} from "../../../src/core/limits.ts";
import {
  BEHIND,
  MORE,
  PROBE,
  READER_GONE,
  reportUpTo,
  TAKEN,
  WITNESS,
} from "../../../src/stream/protocol.ts";
import { readersCut, streamsOpen } from "../../../src/signals/metrics.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

class FakeSocket implements StreamSocket {
  binaryType = "blob";
  isAccepted = false;
  /** From then on the socket's own calls fail, as those of one that has closed. */
  isBroken = false;
  readonly said: string[] = [];
  closedWith: readonly (number | string | undefined)[] | undefined;
  readonly #listeners = new Map<string, (event: { data: unknown }) => void>();
  accept(): void {
    this.isAccepted = true;
  }
  send(message: string): void {
    if (this.isBroken) throw new Error("the socket is closed");
    this.said.push(message);
  }
  get closed(): boolean {
    return this.closedWith !== undefined;
  }
  close(code?: number, reason?: string): void {
    if (this.isBroken) throw new Error("the socket is closed");
    this.closedWith ??= [code, reason];
  }
  addEventListener(type: string, listener: (event: { data: unknown }) => void): void {
    this.#listeners.set(type, listener);
  }
  event(id: string): void {
    this.frame(encodeFrame({ data: "x", id }));
  }
  frame(text: string): void {
    this.word(new TextEncoder().encode(text).buffer);
  }
  word(data: unknown): void {
    this.#listeners.get("message")?.({ data });
  }
  end(how: "close" | "error" = "close"): void {
    this.#listeners.get(how)?.({ data: undefined });
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
    expect(socket.closed).toBe(true);
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

describe("the socket", () => {
  it("is accepted, and gives its bytes as they are; of its words those of the bridge go no further", async () => {
    const words: string[] = [];
    const { socket, take } = start({ onWord: (word) => void words.push(word) });
    expect([socket.isAccepted, socket.binaryType]).toEqual([true, "arraybuffer"]);
    for (const word of [BEHIND, WITNESS, PROBE, reportUpTo("1", "2"), "backend {}"]) {
      socket.word(word);
    }
    expect(words).toEqual(["backend {}"]);
    socket.word(new Blob(["no frame"]));
    socket.frame("a");
    expect(await take()).toBe("a");
  });

  it("need not be accepted, nor its words be heard", async () => {
    const socket = new FakeSocket();
    Object.assign(socket, { accept: undefined });
    const body = bridge(socket, { keepaliveMs: KEEPALIVE_MS, bufferBytes: BUFFER });
    socket.word("backend {}");
    socket.frame("a");
    const reader = body.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toBe("a");
    for (let n = 0; n < 7; n++) socket.frame("x".repeat(200));
    await expect(reader.read()).rejects.toThrow("slow");
  });

  it.each(["close", "error"] as const)(
    "that ends by %s ends a stream that waits for more, once, and is closed from here",
    async (how) => {
      const onEnd = vi.fn();
      const { socket, reader, take } = start({ onEnd });
      const next = take();
      await vi.advanceTimersByTimeAsync(0);
      socket.end(how);
      expect(await next).toBe("END");
      await reader.cancel();
      expect(onEnd).toHaveBeenCalledOnce();
      expect([socket.closed, vi.getTimerCount()]).toEqual([true, 0]);
    },
  );

  it("that fails at every call lets the reader have what came, and ends with it", async () => {
    const { socket, take } = start();
    socket.isBroken = true;
    socket.frame("a");
    socket.word(BEHIND);
    expect(await take()).toBe("a");
    const next = take();
    await vi.advanceTimersByTimeAsync(0);
    socket.end();
    expect(await next).toBe("END");
    expect(vi.getTimerCount()).toBe(0);
  });

  it.each<[how: string, end: (one: ReturnType<typeof start>) => unknown]>([
    ["its reader leaves", ({ reader }) => reader.cancel()],
    [
      "its reader is cut",
      ({ socket }) => Array.from({ length: 7 }, () => socket.frame("x".repeat(200))),
    ],
  ])(
    "is told once that the stream has ended when %s, and nothing more is taken from it",
    async (_how, end) => {
      const onEnd = vi.fn();
      const onWord = vi.fn();
      const one = start({ onEnd, onWord });
      await end(one);
      expect(onEnd).toHaveBeenCalledOnce();
      one.socket.frame("late");
      one.socket.word("backend {}");
      one.socket.end();
      expect(onEnd).toHaveBeenCalledOnce();
      expect(onWord).not.toHaveBeenCalled();
      expect(one.socket.said).toEqual([]);
    },
  );
});

describe("a response that is not returned yet", () => {
  it("has a reader that can take nothing, and so is not cut, until it is returned", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { socket, cuts } = start({ until: promise });
    socket.frame("waiting");
    await vi.advanceTimersByTimeAsync(10 * KEEPALIVE_MS);
    expect(cuts).toEqual([]);
    resolve();
    await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
    expect(cuts).toEqual([]);
    await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
    expect(cuts).toEqual(["stalled"]);
  });
});

it("cuts a reader that has taken a little when it takes no more for longer than a slow link carries that", async () => {
  const { socket, cuts, take } = start({ bufferBytes: 1_000_000 });
  // Half as much again is what the systems on the way may hold: three seconds of such a link.
  socket.frame("x".repeat(2 * SLOW_LINK_BYTES_PER_S));
  await take();
  socket.frame("y");
  await take();
  socket.frame("waiting");
  await vi.advanceTimersByTimeAsync(3 * KEEPALIVE_MS);
  expect(cuts).toEqual([]);
  await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
  expect(cuts).toEqual(["stalled"]);
});

it("does not cut a reader at a tick before which it has taken something", async () => {
  const { socket, cuts, take } = start();
  await vi.advanceTimersByTimeAsync(KEEPALIVE_MS - 10);
  for (const text of ["a", "b"]) {
    socket.frame(text);
    await take();
  }
  socket.frame("waiting");
  await vi.advanceTimersByTimeAsync(10);
  expect(cuts).toEqual([]);
  await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
  expect(cuts).toEqual(["stalled"]);
});

it("counts what a reader was handed until the connection wants more", async () => {
  const { socket, cuts, take } = start();
  socket.frame("x".repeat(BUFFER + 1));
  await take();
  socket.frame("y");
  expect(cuts).toEqual(["slow"]);
});

const openStreams = () => streamsOpen.samples()[0]?.value ?? 0;

it("counts streams while they are open, and the readers that it cuts by the reason", async () => {
  const counted = vi.spyOn(readersCut, "add");
  const before = openStreams();
  const { socket, reader } = start();
  const left = start();
  expect(openStreams()).toBe(before + 2);
  await left.reader.cancel();
  await left.reader.cancel();
  expect(openStreams()).toBe(before + 1);
  for (let n = 0; n < 7; n++) socket.frame("x".repeat(200));
  await reader.cancel().catch(() => undefined);
  expect(openStreams()).toBe(before);
  expect(counted).toHaveBeenCalledExactlyOnceWith(1, "slow");
  counted.mockRestore();
});

describe("the words to the object", () => {
  it("ask for the next page at once where nothing is left of this one, and for each page once", async () => {
    const { socket, take } = start();
    const next = take();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([]);
    socket.word(BEHIND);
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([MORE]);
    socket.frame("page 2");
    expect(await next).toBe("page 2");
    void take();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([MORE]);
  });

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
});

const COMMENT = ": keep-alive\n";

/** Takes everything that comes, as a reader that lives does. */
function readOn(take: () => Promise<string>) {
  const seen: string[] = [];
  void (async () => {
    for (;;) {
      const text = await take().catch(() => "END");
      if (text === "END") return;
      seen.push(text);
    }
  })();
  return seen;
}

describe("the part that the reader has taken", () => {
  it("is said by a witness once a write that began late enough went through", async () => {
    const { socket, take } = start();
    socket.word(WITNESS);
    socket.event("1");
    await take();
    const comment = take();
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await comment).toBe(COMMENT);
    // A connection that was closed before the comment takes it, and fails the next write.
    const another = take();
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(await another).toBe(COMMENT);
    // The connection has been given the comment, and nothing tells yet that it took it.
    expect(socket.said).toEqual([]);
    void take();
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([TAKEN + "1"]);
  });

  it("is not shown by one write, whenever it goes through", async () => {
    const { socket, reader, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    socket.event("1");
    await take();
    const comment = take();
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    await comment;
    void take().catch(() => {});
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    await reader.cancel();
    expect([socket.said, socket.closedWith]).toEqual([[], [READER_GONE, ""]]);
  });

  it("is not shown by writes that follow at once, however many", async () => {
    const { socket, take } = start();
    socket.word(WITNESS);
    for (let n = 0; n < 5; n++) {
      socket.event(String(n));
      await take();
    }
    void take();
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
  });

  it("is shown by events without a comment where they go on, and said once a while", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    const seen = readOn(take);
    for (let n = 0; n < 20; n++) {
      socket.event(String(n).padStart(2, "0"));
      await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS / 5);
    }
    expect(seen.filter((text) => text === COMMENT)).toEqual([]);
    expect(socket.said.length).toBeGreaterThan(1);
    expect(socket.said.length).toBeLessThanOrEqual(4);
  });

  it("costs two comments and one word after the last event, and nothing from then on", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    const seen = readOn(take);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(1);
    socket.event("2");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen.filter((text) => text === COMMENT)).toHaveLength(2);
    expect(socket.said).toEqual([TAKEN + "2"]);
    // The keep-alive's.
    expect(vi.getTimerCount()).toBe(1);
  });

  it("is known to its end where an earlier comment showed a part of it", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    readOn(take);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 50);
    socket.event("2");
    await vi.advanceTimersByTimeAsync(60);
    socket.word(PROBE);
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    expect(socket.said).toEqual([TAKEN + "1"]);
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    expect(socket.said).toEqual([TAKEN + "1", TAKEN + "2"]);
  });

  it("is known also where a frame without an id leaves with it, and where an id comes twice", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    const seen = readOn(take);
    socket.event("1");
    socket.frame(encodeFrame({ event: "endpoint", data: "/" }));
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_AFTER_MS);
    expect(socket.said).toEqual([TAKEN + "1"]);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.said).toEqual([TAKEN + "1"]);
    expect(seen.filter((text) => text === COMMENT)).toHaveLength(2);
  });

  it("is not an event within a message that ends without an id", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    readOn(take);
    socket.frame(encodeFrame({ data: "x", id: "1" }) + encodeFrame({ data: "y" }));
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.said).toEqual([]);
  });

  it("is looked for no longer once the reader has left", async () => {
    const { socket, reader, take } = start();
    socket.event("1");
    await take();
    const next = take();
    await vi.advanceTimersByTimeAsync(0);
    expect(vi.getTimerCount()).toBe(2);
    await reader.cancel();
    expect(vi.getTimerCount()).toBe(0);
    expect(await next).toBe("END");
  });

  it("is known to every bridge, and a bridge that is no witness reports it as it closes", async () => {
    const { socket, reader, take } = start();
    const seen = readOn(take);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_AFTER_MS);
    socket.event("2");
    await vi.advanceTimersByTimeAsync(0);
    expect(seen).toContain(COMMENT);
    await reader.cancel();
    expect(socket.said).toEqual([]);
    expect(socket.closedWith).toEqual([READER_GONE, "1"]);
  });

  it("is said at once by one that becomes the witness", async () => {
    const { socket, take } = start();
    readOn(take);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_AFTER_MS);
    socket.word(WITNESS);
    expect(socket.said).toEqual([TAKEN + "1"]);
  });

  it("is nothing where the reader has closed before the later write", async () => {
    const { socket, reader, take } = start();
    socket.event("1");
    await take();
    await reader.cancel();
    expect(socket.closedWith).toEqual([READER_GONE, ""]);
  });

  it("is not what a large event's first pieces say", async () => {
    const { socket, take } = start({ bufferBytes: 4 * PIECE_BYTES });
    socket.word(WITNESS);
    socket.frame(encodeFrame({ data: "x".repeat(4 * PIECE_BYTES - 1000), id: "1" }));
    for (let n = 0; n < 3; n++) {
      await take();
      await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
    }
    expect(socket.said).toEqual([]);
    readOn(take);
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_AFTER_MS + 16_000);
    expect(socket.said).toEqual([TAKEN + "1"]);
  });
});

describe("on a slow link", () => {
  /** Milliseconds that it takes for an event of `bytes`. */
  const timeFor = (bytes: number): number => Math.floor((1000 * bytes) / SLOW_LINK_BYTES_PER_S);
  const big = (id: string): string => encodeFrame({ data: "x".repeat(100_000), id });
  const SIZE = big("1").length;

  it("an event counts as taken once the link has had the time to carry it", async () => {
    const { socket, take } = start({ bufferBytes: 1_000_000, keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    const seen = readOn(take);
    socket.frame(big("1"));
    await vi.advanceTimersByTimeAsync(timeFor(SIZE) + 2 * CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.said).toEqual([TAKEN + "1"]);
    expect(seen.filter((text) => text === COMMENT)).toHaveLength(2);
  });

  it("it waits for what was sent before it, and not for what comes after", async () => {
    const { socket, take } = start({ bufferBytes: 1_000_000, keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    readOn(take);
    socket.frame(big("1"));
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    socket.event("2");
    await vi.advanceTimersByTimeAsync(timeFor(SIZE));
    socket.frame(big("3"));
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    // Events follow, as they do where tokens stream.
    for (let n = 4; n < 8; n++) {
      await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
      socket.event(String(n));
    }
    await vi.advanceTimersByTimeAsync(0);
    expect(socket.said).toEqual([TAKEN + "2"]);
  });

  it("the time in which nothing was sent is not saved up", async () => {
    const { socket, take } = start({ bufferBytes: 1_000_000, keepaliveMs: 3_600_000 });
    socket.word(WITNESS);
    readOn(take);
    socket.event("0");
    await vi.advanceTimersByTimeAsync(60_000);
    expect(socket.said).toEqual([TAKEN + "0"]);
    socket.frame(big("1"));
    await vi.advanceTimersByTimeAsync(timeFor(SIZE) + 2 * CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([TAKEN + "0"]);
  });

  it("a probe is not held up by it", async () => {
    const { socket, take } = start({ bufferBytes: 1_000_000, keepaliveMs: 3_600_000 });
    const seen = readOn(take);
    socket.frame(big("1"));
    await vi.advanceTimersByTimeAsync(0);
    socket.word(PROBE);
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    expect(seen.filter((text) => text === COMMENT)).toHaveLength(2);
  });
});

describe("asked to report", () => {
  it("says so much as it was asked for after two writes that follow soon, once, though no witness", async () => {
    const { socket, take } = start();
    const seen = readOn(take);
    for (const id of ["1", "2", "3"]) socket.event(id);
    socket.word(reportUpTo("2", "3"));
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_SOON_MS - 1);
    expect(socket.said).toEqual([]);
    await vi.advanceTimersByTimeAsync(1);
    expect(socket.said).toEqual([TAKEN + "2"]);
    expect(seen.filter((text) => text === COMMENT)).toHaveLength(2);
    socket.event("4");
    await vi.advanceTimersByTimeAsync(1000);
    expect(socket.said).toEqual([TAKEN + "2"]);
  });

  it("does not count what is before it as all that was taken", async () => {
    const { socket, reader, take } = start();
    readOn(take);
    for (const id of ["1", "2", "3"]) socket.event(id);
    socket.word(reportUpTo("1", "3"));
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_SOON_MS);
    expect(socket.said).toEqual([TAKEN + "1"]);
    await reader.cancel();
    expect(socket.closedWith).toEqual([READER_GONE, "1"]);
  });

  it("says it also of what it has known for long", async () => {
    const { socket, take } = start();
    readOn(take);
    socket.event("1");
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_AFTER_MS);
    socket.event("2");
    socket.word(reportUpTo("1", "2"));
    expect(socket.said).toEqual([TAKEN + "1"]);
  });

  it("says it of what was handed over before", async () => {
    const { socket, take } = start();
    readOn(take);
    socket.event("1");
    socket.event("2");
    await vi.advanceTimersByTimeAsync(CONFIRM_SOON_MS);
    socket.word(reportUpTo("1", "2"));
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_SOON_MS);
    expect(socket.said).toEqual([TAKEN + "1"]);
  });

  it("says nothing before the connection has taken all that was sent when it was asked", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    socket.event("1");
    readOn(take);
    await vi.advanceTimersByTimeAsync(0);
    socket.word(reportUpTo("1", "3"));
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    socket.event("2");
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(socket.said).toEqual([]);
    socket.event("3");
    await vi.advanceTimersByTimeAsync(2 * CONFIRM_SOON_MS);
    expect(socket.said).toEqual([TAKEN + "1"]);
  });

  it("says nothing of what its reader has not taken", async () => {
    const { socket, take } = start();
    socket.event("1");
    socket.event("2");
    await take();
    socket.word(reportUpTo("1", "2"));
    await vi.advanceTimersByTimeAsync(KEEPALIVE_MS / 2);
    expect(socket.said).toEqual([]);
  });
});

describe("asked whether the reader is there", () => {
  it("writes two comments, one now and one later, and says nothing", async () => {
    const { socket, take } = start({ keepaliveMs: 3_600_000 });
    const seen = readOn(take);
    await vi.advanceTimersByTimeAsync(1000);
    socket.word(PROBE);
    await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS - 1);
    expect(seen).toEqual([COMMENT]);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(seen).toEqual([COMMENT, COMMENT]);
    expect(socket.said).toEqual([]);
  });

  it("writes none into a frame that is on its way", async () => {
    const { socket, take } = start({ bufferBytes: 1_000_000 });
    const frame = encodeFrame({ data: "x".repeat(200_000), id: "1" });
    socket.frame(frame);
    let text = await take();
    socket.word(PROBE);
    while (text.length < frame.length) {
      text += await take();
      await vi.advanceTimersByTimeAsync(CONFIRM_AFTER_MS);
    }
    expect(text).toBe(frame);
  });
});
