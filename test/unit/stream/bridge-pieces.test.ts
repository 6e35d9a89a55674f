/**
 * A frame may be far larger than the piece that a reader takes at a time: a mebibyte of line breaks
 * makes a frame of seven. The bridge does not cut a reader that takes it piece by piece. Time is faked.
 */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { StreamSocket } from "../../../src/core/host.ts";
import { PIECE_BYTES, SLOW_LINK_BYTES_PER_S } from "../../../src/core/limits.ts";
import { bridge } from "../../../src/stream/bridge.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const KEEPALIVE_MS = 1000;
const MIB = 1024 * 1024;
const PIECE = PIECE_BYTES;
/** Milliseconds that the slowest link takes for a piece. */
const PIECE_MS = (PIECE * 1000) / SLOW_LINK_BYTES_PER_S;

/** A bridge to which frames come, and its reader. */
function start(keepaliveMs = KEEPALIVE_MS) {
  let receive: (event: { data: unknown }) => void = () => {};
  const cuts: string[] = [];
  const socket: StreamSocket = {
    binaryType: "arraybuffer",
    send: () => {},
    close: () => {},
    addEventListener: (type: string, listener: (event: { data: unknown }) => void) => {
      if (type === "message") receive = listener;
    },
  };
  const body = bridge(socket, {
    keepaliveMs,
    bufferBytes: 1024 * 1024,
    onCut: (reason) => void cuts.push(reason),
  });
  const send = (text: string) => receive({ data: new TextEncoder().encode(text).buffer });
  return { reader: body.getReader(), send, cuts };
}

it("hands a large frame over in pieces, which show that a slow reader reads", async () => {
  const { reader, send, cuts } = start();
  const frame = encodeFrame({ data: "\n".repeat(1024 * 1024) });
  send(frame);
  let bytes = 0;
  let largest = 0;
  while (bytes < frame.length) {
    const { value } = await reader.read();
    bytes += value?.byteLength ?? 0;
    largest = Math.max(largest, value?.byteLength ?? 0);
    // A reader on a slow link is slow, and no more than that, however short the interval is.
    await vi.advanceTimersByTimeAsync(PIECE_MS);
  }
  expect(largest).toBeLessThanOrEqual(PIECE);
  expect(cuts).toEqual([]);
  await reader.cancel();
});

it("puts no keep-alive into a frame of which a part is taken, nor before one that waits", async () => {
  const { reader, send } = start();
  const frame = encodeFrame({ data: "y".repeat(3 * PIECE), id: "1" });
  send(frame);
  send(encodeFrame({ data: "next", id: "2" }));
  const whole = frame + encodeFrame({ data: "next", id: "2" });
  let text = "";
  while (text.length < whole.length) {
    text += new TextDecoder().decode((await reader.read()).value);
    // Ticks of the keep-alive come while the reader is between two pieces.
    await vi.advanceTimersByTimeAsync(3 * KEEPALIVE_MS);
  }
  expect(text).toBe(whole);
  await reader.cancel();
});

it("never parts the line feeds that end a frame, for clients that take its id at the first", async () => {
  const { reader, send } = start();
  const frameOf = (length: number) => {
    const empty = encodeFrame({ data: "", id: "1" });
    return encodeFrame({ data: "x".repeat(length - empty.length), id: "1" });
  };
  const next = async () => new TextDecoder().decode((await reader.read()).value);
  // The piece would end before the last byte of a frame: of one that is alone, and of one of two.
  const short = frameOf(100);
  for (const text of [
    frameOf(PIECE + 1),
    frameOf(PIECE + 1) + short,
    frameOf(PIECE - 99) + short,
  ]) {
    send(text);
    const piece = await next();
    expect(piece.length).toBe(PIECE + 1);
    expect(piece).toMatch(/\nid: 1\n\n$/);
    const rest = text.slice(piece.length);
    if (rest !== "") expect(await next()).toBe(rest);
  }
  await reader.cancel();
});

/** Takes this many bytes. */
async function take(reader: ReadableStreamDefaultReader<Uint8Array>, bytes: number): Promise<void> {
  for (let taken = 0; taken < bytes;) taken += (await reader.read()).value?.byteLength ?? 0;
}

it.each([15_000, 5000, 50])(
  "does not cut a reader on a slow link whose system wants more only now and then (keep-alives each %i ms)",
  async (keepaliveMs) => {
    const { reader, send, cuts } = start(keepaliveMs);
    const third = "x".repeat(Math.ceil((4 * MIB) / 3));
    // The system holds 4 MiB. It wants more when its reader has taken a third of them.
    send(third.repeat(3));
    await take(reader, 3 * third.length);
    for (let n = 0; n < 6; n++) {
      send(third);
      await vi.advanceTimersByTimeAsync((third.length * 1000) / SLOW_LINK_BYTES_PER_S);
      expect(cuts).toEqual([]);
      await take(reader, third.length);
    }
    await reader.cancel();
  },
);

it("cuts a reader that takes nothing for longer than that", async () => {
  const { reader, send, cuts } = start(KEEPALIVE_MS);
  send("x".repeat(4 * MIB));
  await take(reader, 4 * MIB);
  send("waiting");
  await vi.advanceTimersByTimeAsync(23_999);
  expect(cuts).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(cuts).toEqual(["stalled"]);
});
