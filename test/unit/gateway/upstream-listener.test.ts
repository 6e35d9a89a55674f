import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { refusalOf, retryAfter, UpstreamListener } from "../../../src/gateway/upstream-listener.ts";
import type { Upstream } from "../../../src/gateway/upstream/upstream.ts";
import { BACKEND } from "../../../src/stream/protocol.ts";

beforeEach(() => void vi.useFakeTimers({ now: 0 }));
afterEach(() => void vi.useRealTimers());

it("waits for a server that begins its answer with its first event, whatever a call may take", async () => {
  const send = vi.fn(() => new Promise<Response>(() => undefined));
  const replica = { url: "https://upstream.invalid/mcp", send };
  const upstream: Upstream = {
    name: "default",
    replicas: [replica],
    headers: {},
    timeoutMs: 1000,
    forwardAuthorization: false,
  };
  const socket = {
    binaryType: "arraybuffer",
    send: vi.fn(),
    close: vi.fn(),
    addEventListener: vi.fn(),
  };
  const listener = new UpstreamListener({ upstream, socket, headers: {}, maxBytes: 1000 });
  listener.receive(BACKEND + JSON.stringify({ sid: "a", version: "2025-11-25" }));
  await vi.advanceTimersByTimeAsync(9 * 60_000);
  expect(send).toHaveBeenCalledOnce();
  // Silence has its bound here too.
  await vi.advanceTimersByTimeAsync(2 * 60_000);
  expect(send).toHaveBeenCalledTimes(2);
  listener.end();
});

it("401 without the client's credential may be the word of a server that restarted", () => {
  expect([refusalOf(401, true, false), refusalOf(401, true, true)]).toEqual(["lost", "none"]);
  expect(refusalOf(401, false, false)).toBe("none");
});

it.each<[status: number, withSession: string, without: string]>([
  [200, "none", "none"],
  [204, "none", "none"],
  [302, "none", "none"],
  [400, "lost", "busy"],
  [401, "none", "none"],
  [403, "none", "none"],
  [404, "lost", "none"],
  [405, "none", "none"],
  [406, "none", "none"],
  [408, "busy", "busy"],
  [409, "busy", "busy"],
  [410, "lost", "none"],
  [415, "none", "none"],
  [425, "busy", "busy"],
  [429, "busy", "busy"],
  [500, "failed", "failed"],
  [503, "failed", "failed"],
])("an upstream that answers %i to the request for its stream", (status, withSession, without) => {
  const refusals = [refusalOf(status, true, true), refusalOf(status, false, true)];
  expect(refusals).toEqual([withSession, without]);
});

const NOW = Date.parse("2026-11-29T12:00:00Z");

it.each<[header: string | null, ms: number | undefined]>([
  [null, undefined],
  ["soon", undefined],
  ["0", 100],
  ["7", 7000],
  ["86400", 600_000],
  ["99999999999999999999", 600_000],
  ["Sun, 29 Nov 2026 12:00:09 GMT", 9000],
  ["Sun, 29 Nov 2026 11:00:00 GMT", 100],
])("Retry-After: %s", (header, ms) => {
  expect(retryAfter(header, NOW)).toBe(ms);
});
