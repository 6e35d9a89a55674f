import { describe, expect, it } from "vitest";
import {
  creditUse,
  creditWhileInUse,
  expiryVerdict,
  lastUseOnLoad,
} from "../../../src/core/expiry.ts";

const idle = { createdAt: 1000, ttlMs: 100, maxLifetimeMs: 0 };
const capped = { createdAt: 1000, ttlMs: 100, maxLifetimeMs: 250 };

describe("expiryVerdict", () => {
  it.each([
    // name, lifetime, last use, now, in use, expected
    ["fresh", idle, 1000, 1000, false, 1100],
    ["just before its TTL", idle, 1000, 1099, false, 1100],
    ["at its TTL", idle, 1000, 1100, false, "idle"],
    ["long after its TTL", idle, 1000, 1e12, false, "idle"],
    ["used since", idle, 1090, 1100, false, 1190],
    ["in use at its TTL", idle, 1000, 1100, true, 1200],
    ["in use long after", idle, 1000, 5000, true, 5100],
    ["credited ahead", idle, 1106, 1102, false, 1206],
    ["capped: before the cap, TTL earlier", capped, 1000, 1050, false, 1100],
    ["capped: cap earlier than TTL", capped, 1200, 1210, false, 1250],
    ["capped: at the cap though just used", capped, 1249, 1250, false, "max_lifetime"],
    ["capped: at the cap though in use", capped, 1249, 1250, true, "max_lifetime"],
    ["capped: in use before the cap", capped, 1000, 1200, true, 1250],
    ["capped: both are over", capped, 1000, 9000, false, "max_lifetime"],
    ["clock jumped back before the creation", idle, 1000, 500, false, 1100],
    ["clock jumped back while in use", idle, 1000, 500, true, 1100],
    ["clock jumped back, capped", capped, 1000, 500, false, 1100],
    ["clock jumped forward past the TTL", idle, 1000, 4000, false, "idle"],
    ["clock jumped forward while in use", idle, 1000, 4000, true, 4100],
  ])("%s", (_name, lifetime, lastUse, now, inUse, expected) => {
    const verdict = expiryVerdict(lifetime, lastUse, now, inUse);
    expect(verdict.kind === "live" ? verdict.until : verdict.reason).toBe(expected);
    if (verdict.kind === "live") expect(verdict.until).toBeGreaterThan(now);
  });
});

it("a credit reaches a sixteenth of the TTL ahead, and a whole one while in use", () => {
  expect(creditUse(1000, 1600)).toBe(1100);
  expect(creditWhileInUse(1000, 1600)).toBe(2600);
});

it("a credit that reaches beyond now counts as now after a load", () => {
  expect(lastUseOnLoad(1100, 1050)).toBe(1050);
  expect(lastUseOnLoad(1100, 5000)).toBe(1100);
});
