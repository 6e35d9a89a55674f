/** Bodies of unknown length, on the platform whose reader they are read with. */
import { expect, it } from "vitest";
import { boundedBody } from "../../src/wire/bytes.ts";

const text = (bytes: Uint8Array | undefined) => bytes && new TextDecoder().decode(bytes);

/** A stream of the platform's own, in so many writes. */
function piped(...chunks: readonly string[]): ReadableStream<Uint8Array> {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const write = async () => {
    for (const chunk of chunks) await writer.write(new TextEncoder().encode(chunk));
    await writer.close();
  };
  // The write rejects where the reader lets go.
  void write().catch(() => undefined);
  return readable as ReadableStream<Uint8Array>;
}

/** The same, made in JavaScript. */
function made(...chunks: readonly string[]): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) controller.enqueue(new TextEncoder().encode(chunk));
      controller.close();
    },
  });
}

const K = "k".repeat(1024);

it.each([
  ["the platform's", piped],
  ["JavaScript's", made],
])("reads %s streams whole, however they are cut", async (_whose, stream) => {
  expect(text(await boundedBody(stream(), 0))).toBe("");
  expect(text(await boundedBody(stream("a"), 1))).toBe("a");
  expect(text(await boundedBody(stream("a", "b", "c"), 3))).toBe("abc");
  // As long as what is asked for first, and as that and what is asked for next.
  for (const kib of [4, 12, 13, 300]) {
    const whole = await boundedBody(stream(...Array<string>(kib).fill(K)), kib * 1024);
    expect(text(whole)).toBe(K.repeat(kib));
  }
});

it.each([
  ["the platform's", piped],
  ["JavaScript's", made],
])("gives %s streams up once they are over the bound", async (_whose, stream) => {
  for (const chunks of [["ab"], ["a", "b"], Array<string>(20).fill(K)]) {
    const body = stream(...chunks);
    expect(await boundedBody(body, 1)).toBeUndefined();
    expect(body.locked).toBe(false);
    await body.cancel();
  }
});

it("rejects where a body breaks off", async () => {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  void writer.write(new TextEncoder().encode("half")).catch(() => undefined);
  const read = boundedBody(readable as ReadableStream<Uint8Array>, 100);
  void writer.abort(new Error("broken off"));
  await expect(read).rejects.toThrow("broken off");
});
