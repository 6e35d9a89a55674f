import { describe, expect, it } from "vitest";
import { migrate, type Migration, type StoredSession } from "../../../src/session/record.ts";

// A migration that touches other storage is tested with it; these change the record alone.
const storage = {} as DurableObjectStorage;
const stored = (schema: number) => ({ schema, revision: 0 }) as StoredSession;
const add = (to: number, amount: number): Migration => ({
  to,
  up: (session) => ({ ...session, revision: session.revision * 10 + amount }),
});
const migrations = [add(2, 2), add(3, 3), add(4, 4)];

describe("migrate", () => {
  it.each([
    [1, 4, 234],
    [2, 4, 34],
    [3, 4, 4],
    [4, 4, 0],
    [1, 3, 23],
  ])("from schema %i to %i runs each migration in between once, in order", (from, to, revision) => {
    expect(migrate(stored(from), storage, migrations, to)).toEqual({ schema: to, revision });
  });

  it("refuses what a newer version wrote", () => {
    expect(() => migrate(stored(5), storage, migrations, 4)).toThrow("newer");
  });
});
