import { describe, expect, it } from "vitest";
import { OptionError } from "../../../scripts/command-line.ts";
import { DEFAULTS, isKept, readOptions } from "../../soak/options.ts";
import { scheduleFaults } from "../../soak/schedule.ts";
import { Random } from "../../support/fuzz/random.ts";

describe("options", () => {
  it("has defaults, and takes what is given in their place", () => {
    expect(readOptions([])).toEqual(DEFAULTS);
    const limits = ["--disk", "256", "--open-files=512"];
    const args = [
      ...limits,
      "--minutes",
      "60",
      "--seed=7",
      "--rates",
      "publish=10,call=0",
      "--faults=kill=5",
    ];
    expect(readOptions(args)).toEqual({
      ...DEFAULTS,
      seconds: 3600,
      seed: 7,
      disk: 256,
      openFiles: 512,
      rates: { ...DEFAULTS.rates, publish: 10, call: 0 },
      faults: { ...DEFAULTS.faults, kill: 5 },
    });
  });

  it("keeps what is as long as the default, or asked to be kept", () => {
    expect(isKept(readOptions([]))).toBe(true);
    expect(isKept(readOptions(["--minutes", "60"]))).toBe(true);
    expect(isKept(readOptions(["--seconds", "299"]))).toBe(false);
    expect(isKept(readOptions(["--seconds", "20", "--keep"]))).toBe(true);
  });

  it.each([
    [["--minutes", "x"], "--minutes"],
    [["--seconds", "-1"], "--seconds"],
    [["--seed", "1.5"], "--seed"],
    [["--minutes", "1", "--seconds", "9"], "not both"],
    [["--rates", "publsh=1"], "publsh"],
    [["--faults", "kill=often"], "--faults kill"],
    [["--rates", "publish=1=2"], '--rates publish must be a number of at least 0, not "1=2"'],
    [["--unknown"], "--unknown"],
    [["stray"], "stray"],
  ])("refuses %j and says what is wrong", (args, said) => {
    expect(() => readOptions(args)).toThrow(OptionError);
    expect(() => readOptions(args)).toThrow(said);
  });
});

describe("the schedule of faults", () => {
  const intervals = { kill: 20, abort: 5, cut: 0, silence: 40, redis: 10, disk: 30 };
  const scheduled = (seed: number) => scheduleFaults(100, intervals, new Random(seed));

  it("is the same for the same seed, and another for another", () => {
    expect(scheduled(3)).toEqual(scheduled(3));
    expect(scheduled(3)).not.toEqual(scheduled(4));
  });

  it("strikes once in each interval, in order, within the time, and not where it is turned off", () => {
    const faults = scheduled(1);
    const times = faults.map(({ at }) => at);
    expect(times).toEqual(times.toSorted((a, b) => a - b));
    expect(Math.max(...times)).toBeLessThan(100);
    for (const [kind, interval] of Object.entries(intervals)) {
      const own = times.filter((_, n) => faults[n]?.kind === kind);
      const expected = interval === 0 ? 0 : 98 / interval;
      expect(own.length).toBeGreaterThanOrEqual(Math.floor(expected));
      expect(own.length).toBeLessThanOrEqual(Math.ceil(expected));
    }
  });
});
