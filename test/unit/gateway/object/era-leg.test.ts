/** The answer to one POST of a client of 2026-07-28. */
import { afterEach, expect, it, vi } from "vitest";
import { EraLeg } from "../../../../src/gateway/object/era-leg.ts";
import { encodeFrame, KEEPALIVE_FRAME, MESSAGE_EVENT } from "../../../../src/wire/sse-frame.ts";

afterEach(() => void vi.useRealTimers());

/** A leg whose answer is a stream, and that stream. */
async function streaming(keepaliveMs = 1_000_000) {
  const left = vi.fn();
  const leg = new EraLeg({
    request: { id: "1", method: "tools/call", capabilities: {}, inputResponses: {} },
    keepaliveMs,
    bufferBytes: 1000,
    maxBytes: 10_000,
    onLeft: left,
  });
  leg.open();
  const answer = await leg.answer;
  if (!answer.ok || answer.value.kind !== "flow") throw new Error("no stream");
  return { leg, left, reader: answer.value.body.getReader() };
}

const message = (size: number) => JSON.stringify({ jsonrpc: "2.0", method: "m".repeat(size) });

it("lets a message that is larger than the buffer wait, and the upstream with it", async () => {
  const { leg, left, reader } = await streaming();
  leg.send(message(100));
  expect(leg.drained).toBeUndefined();
  leg.send(message(9000));
  const { drained } = leg;
  expect(drained).toBeInstanceOf(Promise);
  for (let bytes = 0; bytes < 9100; bytes += (await reader.read()).value?.byteLength ?? 0);
  const last = reader.read();
  await drained;
  expect([leg.drained, left.mock.calls.length]).toEqual([undefined, 0]);
  leg.finish(message(1));
  expect(new TextDecoder().decode((await last).value)).toContain('"method":"m"');
});

it("lets a client go that takes nothing for a minute, and not one that reads slowly", async () => {
  vi.useFakeTimers();
  const { leg, left, reader } = await streaming();
  leg.send(message(2000));
  leg.send(message(2000));
  const { drained } = leg;
  await reader.read();
  vi.advanceTimersByTime(60_000);
  expect(left).not.toHaveBeenCalled();
  vi.advanceTimersByTime(60_000);
  expect(left).toHaveBeenCalledOnce();
  await drained;
});

it("lets a client go when more waits than two messages", async () => {
  const { leg, left } = await streaming();
  for (let n = 0; n < 2; n++) leg.send(message(10_000));
  expect(left).not.toHaveBeenCalled();
  leg.send(message(10_000));
  expect(left).toHaveBeenCalledOnce();
});

it("does not hold a client that has taken everything to what waited before", async () => {
  vi.useFakeTimers();
  const { leg, left, reader } = await streaming();
  const slow = async () => {
    leg.send(message(2000));
    leg.send(message(2000));
    return leg.drained;
  };
  const first = slow();
  vi.advanceTimersByTime(59_000);
  for (let n = 0; n < 2; n++) await reader.read();
  void reader.read();
  await first;
  void slow();
  void slow();
  vi.advanceTimersByTime(59_000);
  expect(left).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1000);
  expect(left).toHaveBeenCalledOnce();
});

it("has the upstream wait for more than the buffer, and not for as much", async () => {
  const { leg } = await streaming();
  const frame = encodeFrame({ event: MESSAGE_EVENT, data: message(0) }).length;
  leg.send(message(1000 - frame));
  expect(leg.drained).toBeUndefined();
  leg.send(message(0));
  expect(leg.drained).toBeInstanceOf(Promise);
});

it("writes no comment while bytes wait for the client", async () => {
  vi.useFakeTimers();
  const { leg, reader } = await streaming(1000);
  const text = async () => new TextDecoder().decode((await reader.read()).value);
  leg.send(message(1));
  vi.advanceTimersByTime(5000);
  expect(await text()).toContain('"method":"m"');
  vi.advanceTimersByTime(5000);
  leg.send(message(2));
  // One comment is enough to see whether it has left.
  expect([await text(), await text()]).toEqual([KEEPALIVE_FRAME, expect.stringContaining('"mm"')]);
});
