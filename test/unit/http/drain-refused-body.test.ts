/** How long a refused body is still read: as long as it comes, and no longer than one that is wanted. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { DRAIN_MS, DRAIN_SILENCE_MS } from "../../../src/core/limits.ts";
import { drainRefusedBody } from "../../../src/http/drain-refused-body.ts";

/** Stands for the runtime's stream, which Node lacks. It does not check the length. */
function FixedLengthStream() {
  return new TransformStream<Uint8Array, Uint8Array>();
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("FixedLengthStream", FixedLengthStream);
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** A refusal of a body that the test sends: the answer's text, and when its stream closed. */
async function refuse() {
  const began = Date.now();
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  const sender = writable.getWriter();
  const init = { method: "POST", body: readable, duplex: "half" };
  const refused = drainRefusedBody(
    new Request("http://service.example/", init),
    new Response("no", { status: 404 }),
  );
  await vi.advanceTimersByTimeAsync(100);
  const answer = await refused;
  const closed = answer.text().then((text) => ({ text, afterMs: Date.now() - began }));
  return { send: () => void sender.write(new Uint8Array(10)), end: () => sender.close(), closed };
}

it("ends with the body", async () => {
  const { send, end, closed } = await refuse();
  send();
  await vi.advanceTimersByTimeAsync(2000);
  await end();
  await vi.advanceTimersByTimeAsync(0);
  expect(await closed).toEqual({ text: "no", afterMs: 2100 });
});

it("goes on while the body comes slowly, for as long as one that is wanted may take", async () => {
  const { send, closed } = await refuse();
  for (let ms = 0; ms < DRAIN_MS; ms += DRAIN_SILENCE_MS - 1) {
    send();
    await vi.advanceTimersByTimeAsync(DRAIN_SILENCE_MS - 1);
  }
  expect(await closed).toEqual({ text: "no", afterMs: DRAIN_MS });
});

it("ends after five seconds without a byte", async () => {
  const { send, closed } = await refuse();
  await vi.advanceTimersByTimeAsync(1900);
  send();
  await vi.advanceTimersByTimeAsync(DRAIN_SILENCE_MS);
  expect(await closed).toEqual({ text: "no", afterMs: 2000 + DRAIN_SILENCE_MS });
});
