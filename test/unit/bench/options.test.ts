import { describe, expect, it } from "vitest";
import { OptionError, readOptions, readSeconds, type Known } from "../../../bench/options.ts";

const KNOWN: Known = {
  suites: ["floor", "cost", "nchan", "gateways"],
  counting: ["cost"],
  groups: { peers: ["nchan", "gateways"] },
};
const read = (...args: string[]) => readOptions(args, KNOWN);

describe("what is run", () => {
  it("is all, or what is named, each once and in the known order", () => {
    expect(read().suites).toEqual(KNOWN.suites);
    expect(read("peers", "nchan", "floor").suites).toEqual(["floor", "nchan", "gateways"]);
  });

  it("takes of the effort what is given, and leaves the rest to the suite", () => {
    expect(read().effort).toEqual({});
    expect(read("--rounds", "7").effort).toEqual({ rounds: 7 });
    expect(read("--seconds=0.3").effort).toEqual({ seconds: 0.3 });
    expect(read("floor", "--rounds", "1", "--seconds", "2").effort).toEqual({
      rounds: 1,
      seconds: 2,
    });
  });
});

describe("what is kept", () => {
  it("is a run with the default effort, and another only where that is asked for", () => {
    expect(read("floor")).toMatchObject({ keep: true, given: [] });
    expect(read("floor", "--rounds", "1").keep).toBe(false);
    expect(read("floor", "--seconds", "0.3").keep).toBe(false);
    expect(read("floor", "--rounds", "9", "--keep").keep).toBe(true);
  });

  it("is recorded with the options that were given", () => {
    expect(read("--seconds", "3", "--keep").given).toEqual(["--seconds 3", "--keep"]);
    expect(read("--rounds=9", "--seconds=3").given).toEqual(["--rounds 9", "--seconds 3"]);
    expect(read("--keep").given).toEqual([]);
  });
});

it.each([
  [["toString"], 'no suite "toString"; there are floor, cost, nchan, gateways, peers'],
  [["--bogus"], "no option --bogus"],
  [["-x"], "no option -x"],
  [["--rounds"], "--rounds needs a number"],
  [["--rounds", "0"], "--rounds must be a whole number from 1 to 1000"],
  [["--rounds", "1.5"], 'not "1.5"'],
  [["--seconds", "-1"], 'not "-1"'],
  [["--seconds", "Infinity"], 'not "Infinity"'],
  [["--seconds", "0"], "more than 0"],
  [["--seconds", "9".repeat(400)], "at most 3600"],
  [["--keep=no"], "--keep takes no value"],
  [["--quote", "floor"], "--quote runs nothing"],
  [["--quote", "--rounds", "1"], "--quote runs nothing"],
  [["cost", "--rounds", "9"], "cost counts, and takes no --rounds or --seconds"],
])("refuses %j and says in one line what is wrong", (args, said) => {
  expect(() => read(...args)).toThrow(OptionError);
  expect(() => read(...args)).toThrow(said);
  expect(() => read(...args)).not.toThrow(/\n/);
});

it("names the argument that is no number of seconds", () => {
  expect(readSeconds(undefined, "seconds")).toBe(undefined);
  expect(readSeconds("0.25", "seconds")).toBe(0.25);
  expect(() => readSeconds("x", "seconds")).toThrow("seconds must be a number more than 0");
});
