/**
 * Publish, subscribe, cut, evict, abort, trim and reconnect in any order: a client
 * that comes back with the last id that it saw gets every later event once, in
 * order, or is told of a gap where the log no longer holds what it missed.
 */
import { abortAllDurableObjects } from "cloudflare:test";
import fc from "fast-check";
import { expect, it } from "vitest";
import { call, make, pathOf, request } from "../support/call.ts";
import { evict } from "../support/object.ts";
import { ResumingClient } from "../support/resuming-client.ts";

/** The default of LOG_MAX_BYTES. */
const LOG_MAX_BYTES = 4 * 1024 * 1024;
const CLIENTS = 3;
/** Makes a hundred events more than a page of replay, and a thousand less than the log's bytes. */
const PAD = "x".repeat(3000);
/** Events that the log holds at least: each is the pad with its number and its name. */
const RETAINED = Math.floor(LOG_MAX_BYTES / (PAD.length + 10));

type Step =
  | { readonly do: "publish"; readonly count: number }
  | { readonly do: "connect" | "yield"; readonly client: number }
  | { readonly do: "cut"; readonly client: number; readonly share: number }
  | { readonly do: "evict" }
  | { readonly do: "abort" };

const client = fc.nat({ max: CLIENTS - 1 });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.constantFrom(1, 1, 2, 7, 100),
    }),
  },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect" as const), client }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("cut" as const),
      client,
      share: fc.double({ min: 0, max: 1, noNaN: true }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("yield" as const), client }) },
  { weight: 2, arbitrary: fc.constant({ do: "evict" as const }) },
  { weight: 1, arbitrary: fc.constant({ do: "abort" as const }) },
);

const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

/** Plays the steps, checks every client, and answers what each received. */
async function play(steps: readonly Step[], overflow = "refuse"): Promise<(readonly string[])[]> {
  const { id } = await make({ overflow });
  const path = pathOf(id, "/events");
  const clients = Array.from(
    { length: CLIENTS },
    () =>
      new ResumingClient((lastEventId) =>
        lastEventId === undefined
          ? request("GET", `${path}?from=earliest`)
          : request("GET", path, undefined, { "last-event-id": lastEventId }),
      ),
  );
  let published = 0;
  const publish = async (count: number) => {
    const events = Array.from({ length: count }, (_, n) => ({
      data: `${published + n} ${PAD}`,
      event: "n",
    }));
    const { status, json } = await call("POST", path, events);
    if (status === 202) published += count;
    // The log is full of what nobody has taken: refused, and nothing of it is in the log.
    else expect(json["code"]).toBe("message_channel_full");
  };

  // A reader that was there from the start, so that every client has a place to come back to.
  for (const each of clients) await each.connect();
  for (const next of steps) {
    if (next.do === "publish") await publish(next.count);
    else if (next.do === "evict") await evict(id).catch(() => {});
    else if (next.do === "abort") {
      await abortAllDurableObjects();
      for (const each of clients) if (each.connected) await each.ended();
    } else {
      const target = clients[next.client]!;
      if (next.do === "yield") await turn();
      else if (next.do === "cut") await target.cut(next.share);
      else if (!target.connected) await target.connect();
    }
  }

  for (const each of clients) if (!each.connected) await each.connect();
  // Where the log is full there is room once what the clients take is known.
  const before = published;
  await expect.poll(() => publish(1).then(() => published), { interval: 1 }).toBe(before + 1);
  for (const each of clients) {
    await expect
      .poll(() => each.has(`data: ${published - 1} ${PAD}\n`), { interval: 1 })
      .toBe(true);
    await each.cut(1);
    check(each.received, published);
  }
  await call("DELETE", pathOf(id));
  return clients.map(({ received }) => received);
}

/** Rising by one from the first event, except after a gap that was said. */
function check(received: readonly string[], published: number): void {
  let expected = 0;
  let afterGap = false;
  for (const data of received) {
    if (data === "gap") {
      afterGap = true;
      continue;
    }
    const n = Number(data.split(" ")[0]);
    if (afterGap) {
      // Never a repeat, and only where more was missed than the log holds.
      expect(n).toBeGreaterThan(expected);
      expect(published - expected).toBeGreaterThan(RETAINED);
      expected = n;
      afterGap = false;
    }
    expect(n).toBe(expected);
    expected++;
  }
  expect(expected).toBe(published);
}

it("whatever happens, nothing is lost, repeated or reordered", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 5, maxLength: 60, size: "max" }),
      fc.constantFrom("refuse", "trim"),
      async (steps, overflow) => {
        await play(steps, overflow);
      },
    ),
    { numRuns: 60, endOnFailure: true },
  );
}, 120_000);

it("a log trimmed between any two visits is said to have a gap", async () => {
  const trim: Step[] = Array.from({ length: 15 }, () => ({ do: "publish", count: 100 }));
  const steps: Step[] = [
    { do: "publish", count: 7 },
    { do: "yield", client: 0 },
    { do: "cut", client: 0, share: 1 },
    ...trim,
    { do: "connect", client: 0 },
    { do: "evict" },
    ...trim,
    { do: "cut", client: 1, share: 0.3 },
    ...trim,
  ];
  const received = await play(steps, "trim");
  // How many depends on how fast each asks for its pages: one that is overtaken is told again.
  for (const frames of received.slice(0, 2)) expect(frames).toContain("gap");
});
