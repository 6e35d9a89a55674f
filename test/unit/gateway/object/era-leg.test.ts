/** The answer to one POST of a client of 2026-07-28. */
import { afterEach, expect, it, vi } from "vitest";
import { EraLeg } from "../../../../src/gateway/object/era-leg.ts";

afterEach(() => void vi.useRealTimers());

/** A leg whose answer is a stream, and that stream. */
async function streaming() {
  const left = vi.fn();
  const leg = new EraLeg({
    request: { id: "1", method: "tools/call", capabilities: {}, inputResponses: {} },
    keepaliveMs: 1_000_000,
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
