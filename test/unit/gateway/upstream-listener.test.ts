import { expect, it } from "vitest";
import { refusalOf, retryAfter } from "../../../src/gateway/upstream-listener.ts";

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
  expect([refusalOf(status, true), refusalOf(status, false)]).toEqual([withSession, without]);
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
