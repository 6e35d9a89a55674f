/** Refusals that take as long as each other, on a clock of the test's own. */
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { withPaddedRefusals, RefusalTime } from "../../../src/session/refusal-timing.ts";
import { SessionError, SessionNotFoundError } from "../../../src/core/errors.ts";
import type { GatewaySessions } from "../../../src/gateway/contract.ts";

describe("the time of a refusal", () => {
  it("is ten milliseconds at least, and that of the slowest of the last 64", () => {
    const time = new RefusalTime();
    expect(time.for(2)).toBe(10);
    expect(time.for(40)).toBe(40);
    for (let n = 0; n < 63; n++) expect(time.for(3)).toBe(40);
    expect(time.for(3)).toBe(10);
  });

  it("is never more than a quarter of a second, or than it took by itself", () => {
    const time = new RefusalTime();
    expect(time.for(9000)).toBe(250);
    expect(time.for(1)).toBe(250);
  });
});

describe("padded refusals", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** How long the call takes where its session's object answers after `ms`. */
  async function took(outcome: () => unknown, ms: number, time = new RefusalTime()) {
    const read = async (): Promise<unknown> => {
      await new Promise((resolve) => setTimeout(resolve, ms));
      return outcome();
    };
    // A stand-in for all of its methods: they are treated alike.
    const sessions = withPaddedRefusals(
      { read } as unknown as GatewaySessions,
      time,
    ) as unknown as {
      read: typeof read;
    };
    const began = Date.now();
    let ended = NaN;
    const done = sessions.read().then(
      () => (ended = Date.now()),
      () => (ended = Date.now()),
    );
    await vi.runAllTimersAsync();
    await done;
    return ended - began;
  }

  const absent = () => {
    throw new SessionNotFoundError();
  };

  it.each<[what: string, outcome: () => unknown, ms: number]>([
    ["a session that is not there", absent, 10],
    ["a delete of what is not there", () => false, 10],
    [
      "a condition on what is not there",
      () => {
        throw new SessionError("precondition_failed");
      },
      10,
    ],
    ["a session that is there", () => ({}), 2],
    ["a delete of what is there", () => true, 2],
    [
      "another refusal",
      () => {
        throw new SessionError("session_disconnected");
      },
      2,
    ],
  ])("%s", async (_what, outcome, ms) => {
    expect(await took(outcome, 2)).toBe(ms);
  });

  it("waits as long as a slower one did, on a machine that is busy", async () => {
    const time = new RefusalTime();
    expect(await took(absent, 40, time)).toBe(40);
    expect(await took(absent, 18, time)).toBe(40);
    expect(await took(absent, 40, time)).toBe(40);
  });
});
