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

it("keeps what it was set for while it read what was set before", async () => {
  const before = Promise.withResolvers<number | null>();
  const set: number[] = [];
  const storage = {
    getAlarm: () => before.promise,
    setAlarm: (at: number) => Promise.resolve(void set.push(at)),
  };
  const clock = new AlarmClock(storage as unknown as DurableObjectStorage);
  const loaded = clock.load();
  clock.wakeBy(50);
  before.resolve(90);
  await loaded;
  clock.wakeBy(60);
  expect(set).toEqual([50]);
});
