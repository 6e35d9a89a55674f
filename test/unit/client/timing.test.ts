import { describe, expect, it, onTestFinished, vi } from "vitest";
import { systemTiming } from "../../../src/client/timing.ts";

const HOUR_MS = 60 * 60_000;

function pageWith(window: object): void {
  vi.stubGlobal("window", window);
  onTestFinished(() => void vi.unstubAllGlobals());
}

describe("a wait", () => {
  const { signal } = new AbortController();

  it("passes by itself, in a window that hears nothing too", async () => {
    await expect(systemTiming.sleep(1, signal, true)).resolves.toBeUndefined();
    pageWith({});
    await expect(systemTiming.sleep(1, signal, true)).resolves.toBeUndefined();
  });

  it("ends with its signal", async () => {
    const stop = new AbortController();
    const slept = systemTiming.sleep(HOUR_MS, stop.signal, true);
    stop.abort();
    await expect(slept).resolves.toBeUndefined();
    await expect(systemTiming.sleep(HOUR_MS, stop.signal, true)).resolves.toBeUndefined();
  });

  it("ends when a page's network is back, and listens no more then", async () => {
    const page = new EventTarget();
    const removed = vi.spyOn(page, "removeEventListener");
    pageWith(page);
    const slept = systemTiming.sleep(HOUR_MS, signal, true);
    page.dispatchEvent(new Event("online"));
    await slept;
    expect(removed).toHaveBeenCalledOnce();
  });

  it("that the service asked for does not end with it", async () => {
    const page = new EventTarget();
    const added = vi.spyOn(page, "addEventListener");
    pageWith(page);
    await systemTiming.sleep(1, signal, false);
    expect(added).not.toHaveBeenCalled();
  });
});
