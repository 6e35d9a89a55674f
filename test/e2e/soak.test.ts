/**
 * A short soak, with each kind of fault. It keeps `npm run soak` working and shows that its auditor finds
 * nothing lost; that the auditor finds what is lost is shown by test/unit/bench/soak.
 */
import { expect, it } from "vitest";
import { DEFAULTS } from "../../bench/soak/options.ts";
import { soak } from "../../bench/soak/soak.ts";

it("loses nothing in a quarter of a minute of load, kills, aborts and cut connections", async () => {
  const schedule = [
    { at: 2, kind: "abort" },
    { at: 3, kind: "cut" },
    { at: 5, kind: "kill" },
    { at: 7, kind: "redis" },
    { at: 8, kind: "silence" },
    { at: 9, kind: "abort" },
    { at: 11, kind: "kill" },
  ] as const;
  const options = {
    ...DEFAULTS,
    seconds: 15,
    sessions: 3,
    subscribers: 2,
    rates: { publish: 30, create: 4, write: 8, delete: 3, redis: 20, call: 0.5 },
  };
  const { losses, history, journal } = await soak(options, { schedule });
  expect(losses).toEqual([]);
  expect(journal.timeline.faults.map(({ kind }) => kind)).toEqual(schedule.map(({ kind }) => kind));
  // The verdict is about something: events came through, calls were answered on both storages.
  const subscribers = history.followings.filter(({ follower }) =>
    follower.startsWith("subscriber"),
  );
  expect(subscribers).toHaveLength(options.sessions * options.subscribers);
  for (const { seen } of subscribers) expect(seen.length).toBeGreaterThan(10);
  const [sessions, redis] = history.keepings;
  for (const changes of [sessions?.changes, redis?.changes]) {
    expect(changes?.filter(({ outcome }) => outcome === "done").length).toBeGreaterThan(10);
  }
  expect(history.calls.filter(({ end }) => end === "result").length).toBeGreaterThan(0);
}, 240_000);
