import { describe, expect, it } from "vitest";
import { reconnectDelays } from "../../../../../src/library/storage/redis/client.ts";

describe("reconnecting", () => {
  const reconnectDelay = reconnectDelays(5000);
  const delays = Array.from({ length: 30 }, (_, i) => reconnectDelay(i + 1) ?? NaN);

  it("waits longer each time, at most half a second", () => {
    expect(delays[0]).toBeLessThanOrEqual(25);
    for (const delay of delays) expect(delay).toBeLessThanOrEqual(500);
    expect(delays.at(-1)).toBeGreaterThanOrEqual(250);
  });

  it("never sleeps through the time that a call waits for a connection", () => {
    expect(reconnectDelays(200)(30)).toBeLessThanOrEqual(50);
  });

  it("is bounded: after 30 attempts the client rests until it is called", () => {
    expect(reconnectDelay(31)).toBeNull();
    expect(delays.reduce((sum, delay) => sum + delay, 0)).toBeLessThan(15_000);
  });
});
