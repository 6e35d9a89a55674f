/**
 * A frame may be far larger than the piece that a reader takes at a time: a mebibyte of line breaks
 * makes a frame of seven. The bridge does not cut a reader that takes it piece by piece. Time is faked.
 */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { StreamSocket } from "../../../src/core/host.ts";
import { bridge } from "../../../src/stream/bridge.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const KEEPALIVE_MS = 1000;
const PIECE = 64 * 1024;

/** A bridge to which frames come, and its reader. */
function start() {
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
    keepaliveMs: KEEPALIVE_MS,
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
    // A reader that takes a piece an interval is slow, and no more than that.
    await vi.advanceTimersByTimeAsync(KEEPALIVE_MS);
  }
  expect(largest).toBeLessThanOrEqual(PIECE);
  expect(cuts).toEqual([]);
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
