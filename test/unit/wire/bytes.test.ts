import { setImmediate } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import { watched } from "../../../src/wire/bytes.ts";

describe("a stream that is watched", () => {
  const over = vi.fn<() => void>();
  const source = (underlying: UnderlyingSource<Uint8Array>) => {
    over.mockClear();
    return watched(new ReadableStream(underlying), over);
  };

  it("passes every byte on, and says that it has ended", async () => {
    const body = source({
      start: (controller) => {
        for (const text of ["a", "b"]) controller.enqueue(new TextEncoder().encode(text));
        controller.close();
      },
    });
    expect(over).not.toHaveBeenCalled();
    expect(await new Response(body).text()).toBe("ab");
    expect(over).toHaveBeenCalledTimes(1);
  });

  it("says that it broke off, and how", async () => {
    const body = source({ pull: (controller) => controller.error(new Error("gone")) });
    await expect(new Response(body).text()).rejects.toThrow("gone");
    expect(over).toHaveBeenCalledTimes(1);
  });

  it("says that it was left, and leaves its source", async () => {
    const left = vi.fn<(reason: unknown) => void>();
    await source({ cancel: left }).cancel("enough");
    expect([over.mock.calls.length, left.mock.calls]).toEqual([1, [["enough"]]]);
  });

  it("says so once where it was left while its source was read", async () => {
    const asked = vi.fn<() => Promise<void>>(() => new Promise(() => undefined));
    const body = source({ pull: asked });
    await setImmediate();
    expect(asked).toHaveBeenCalledTimes(1);
    await body.cancel();
    // The read of its source has ended by then.
    await setImmediate();
    expect(over).toHaveBeenCalledTimes(1);
  });
});
