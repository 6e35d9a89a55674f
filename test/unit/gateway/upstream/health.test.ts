import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { UPSTREAM_HEARD_MS } from "../../../../src/core/limits.ts";
import { asksFirst, healthOf, soundFirst } from "../../../../src/gateway/upstream/health.ts";
import type { Replica, Upstream } from "../../../../src/gateway/upstream/upstream.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

let made = 0;

function upstreamOf(count: number): Upstream & { readonly first: Replica } {
  const replicas = Array.from({ length: count }, (): Replica => {
    return { url: `https://${++made}.example/mcp`, send: () => Promise.resolve("{}") };
  });
  const [first] = replicas as [Replica];
  const times = { timeoutMs: 1, silenceMs: 1, callMs: 1 };
  return { name: "x", replicas, headers: {}, ...times, forwardAuthorization: false, first };
}

it("asks one that was never heard from, and one that has been silent for 10 s", () => {
  const upstream = upstreamOf(2);
  const { first } = upstream;
  expect(asksFirst(upstream, first)).toBe(true);
  healthOf(first).heard();
  vi.advanceTimersByTime(UPSTREAM_HEARD_MS - 1);
  expect(asksFirst(upstream, first)).toBe(false);
  vi.advanceTimersByTime(1);
  expect(asksFirst(upstream, first)).toBe(true);
});

it("does not ask one that streams an answer, until that ends", () => {
  const upstream = upstreamOf(2);
  const close = healthOf(upstream.first).opened();
  vi.advanceTimersByTime(60_000);
  expect(asksFirst(upstream, upstream.first)).toBe(false);
  close();
  expect(asksFirst(upstream, upstream.first)).toBe(true);
});

it("asks one whose connection broke until it is heard from, whatever else it streams", () => {
  const upstream = upstreamOf(2);
  const health = healthOf(upstream.first);
  health.heard();
  health.opened();
  health.broke();
  expect(asksFirst(upstream, upstream.first)).toBe(true);
  expect(soundFirst(upstream.replicas).map(({ url }) => url)).toEqual(
    upstream.replicas.map(({ url }) => url).toReversed(),
  );
  health.heard();
  expect(asksFirst(upstream, upstream.first)).toBe(false);
  expect(soundFirst(upstream.replicas)).toEqual(upstream.replicas);
});

it("asks nothing where there is one alone", () => {
  const upstream = upstreamOf(1);
  healthOf(upstream.first).broke();
  expect(asksFirst(upstream, upstream.first)).toBe(false);
});
