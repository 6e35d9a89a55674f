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

it("hands a large frame over in pieces, so that who reads slowly is seen to read", async () => {
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
  const reader = body.getReader();
  const frame = encodeFrame({ data: "\n".repeat(1024 * 1024) });
  receive({ data: new TextEncoder().encode(frame).buffer });
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
