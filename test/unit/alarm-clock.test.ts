import { expect, it } from "vitest";
import { AlarmClock } from "../../src/alarm-clock.ts";

function clockWith(earliest?: () => number) {
  const set: number[] = [];
  const storage = {
    setAlarm: (at: number) => Promise.resolve(void set.push(at)),
    deleteAlarm: () => Promise.resolve(),
  };
  return { clock: new AlarmClock(storage as unknown as DurableObjectStorage, earliest), set };
}

it("sets an alarm only where none comes earlier", () => {
  const { clock, set } = clockWith();
  for (const at of [50, 60, 50, 40]) clock.wakeBy(at);
  clock.moveTo(40);
  clock.moveTo(60);
  clock.fired();
  clock.wakeBy(90);
  expect(set).toEqual([50, 40, 60, 90]);
});

it("never sets it later than the time that stands for itself, and not again for the same", () => {
  let earliest = 30;
  const { clock, set } = clockWith(() => earliest);
  // After a load nothing is known, and another deadline is what a caller asks for.
  clock.wakeBy(50);
  clock.moveTo(80);
  expect(set).toEqual([30]);
  earliest = 70;
  clock.fired();
  clock.wakeBy(90);
  clock.moveTo(100);
  earliest = Infinity;
  clock.moveTo(100);
  expect(set).toEqual([30, 70, 100]);
});

/** A clock after a load, with an alarm that an earlier life has set for `at`. */
function loaded(at: number | null) {
  const read = Promise.withResolvers<number | null>();
  const calls: (number | "deleted")[] = [];
  const storage = {
    getAlarm: () => read.promise,
    setAlarm: (time: number) => Promise.resolve(void calls.push(time)),
    deleteAlarm: () => Promise.resolve(void calls.push("deleted")),
  };
  const clock = new AlarmClock(storage as unknown as DurableObjectStorage);
  const done = clock.load();
  return { clock, calls, load: () => (read.resolve(at), done) };
}

it("keeps what it was set for while it read what was set before", async () => {
  const { clock, calls, load } = loaded(90);
  clock.wakeBy(50);
  await load();
  clock.wakeBy(60);
  expect(calls).toEqual([50]);
});

it("knows after a load what was set before, or that nothing was", async () => {
  const before = loaded(90);
  await before.load();
  before.clock.wakeBy(95);
  before.clock.wakeBy(85);
  const none = loaded(null);
  await none.load();
  none.clock.wakeBy(95);
  expect([before.calls, none.calls]).toEqual([[85], [95]]);
});

it("sets it anew once it was taken back", () => {
  const { clock, calls } = loaded(null);
  clock.wakeBy(50);
  clock.clear();
  clock.wakeBy(60);
  expect(calls).toEqual([50, "deleted", 60]);
});

it("leaves what stands for itself to ask for its own time", () => {
  let earliest = Infinity;
  const { clock, set } = clockWith(() => earliest);
  clock.wakeBy(50);
  earliest = 30;
  clock.wakeBy(50);
  clock.moveTo(50);
  expect(set).toEqual([50]);
});
