/** When an entry may be dropped, and when a message is sent again. */
import { afterEach, expect, it, vi } from "vitest";
import { CREDITS_PER_TTL } from "../../../src/core/expiry.ts";
import {
  ENTRY_GRACE_MS,
  FIRST_RESEND_MS,
  LONGEST_RESEND_MS,
  RENEWED_FOR_MS,
} from "../../../src/core/limits.ts";
import {
  dropTime,
  heldOpen,
  putOf,
  retryTime,
  stalenessOf,
} from "../../../src/directory/staleness.ts";
import { parseSessionId } from "../../../src/core/id.ts";

afterEach(() => vi.restoreAllMocks());

it("drops an entry a grace after the last moment at which its session can live", () => {
  const ttlMs = 1600;
  const entry = {
    id: parseSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01")!,
    type: "mcp",
    createdAt: 0,
    expiresAt: 5000,
  } as const;
  // The latest deadline that is not told, and a credit on top of it.
  let untold = entry.expiresAt;
  while (stalenessOf({ entry }, { ...entry, expiresAt: untold + 1 }, ttlMs) === undefined) untold++;
  const latest = untold + ttlMs / CREDITS_PER_TTL;
  expect(dropTime(entry.expiresAt, ttlMs)).toBe(latest + ENTRY_GRACE_MS);
  expect(Number.isInteger(dropTime(1, 7))).toBe(true);
});

it.each([
  ["for a day", 0, 7 + RENEWED_FOR_MS],
  ["to the end of a lifetime", RENEWED_FOR_MS, 5 + RENEWED_FOR_MS],
])("renews an entry %s", (_how, maxLifetimeMs, until) => {
  const held = heldOpen({ createdAt: 5, ttlMs: 1600, maxLifetimeMs }, 7);
  expect(held).toEqual({ at: 7, renewal: { everyMs: 1600, until } });
  const id = parseSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01")!;
  const entry = { id, type: "mcp", createdAt: 5, expiresAt: 1607 } as const;
  expect(putOf(entry, 1600, held.renewal)).toEqual({
    op: "put",
    entry,
    dropAt: dropTime(until, 1600),
    renewal: held.renewal,
  });
  expect(putOf(entry, 1600)).toStrictEqual({ op: "put", entry, dropAt: dropTime(1607, 1600) });
});

it.each([
  ["at once", 0, FIRST_RESEND_MS],
  ["within the first wait", FIRST_RESEND_MS - 1, FIRST_RESEND_MS],
  ["after a minute", 60_000, 60_000],
  ["after a day", 86_400_000, LONGEST_RESEND_MS],
  ["when the clock went back", -60_000, FIRST_RESEND_MS],
])(
  "tries again %s after as long a wait as before, and up to a quarter more",
  (_when, waited, wait) => {
    const now = 1e12;
    const random = vi.spyOn(Math, "random").mockReturnValue(0);
    expect(retryTime(now - waited, now)).toBe(now + wait);
    random.mockReturnValue(1);
    expect(retryTime(now - waited, now)).toBe(now + wait * 1.25);
  },
);
