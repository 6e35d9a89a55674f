import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { OptionError } from "../../../scripts/command-line.ts";
import { readBench, readCompare, readProfile, type Known } from "../../../bench/command-lines.ts";
import { PROJECT } from "../../../scripts/bundle.ts";

const KNOWN: Known = {
  suites: ["floor", "cost", "nchan", "gateways"],
  counting: ["cost"],
  groups: { peers: ["nchan", "gateways"] },
};
const read = (...args: string[]) => readBench(args, KNOWN);

describe("the run", () => {
  it("has every suite, or those that are named, each once and in the known order", () => {
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

describe("the kept result", () => {
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

describe("a result that is only shown", () => {
  it("is printed, of all suites or of those that are named, and nothing is run", () => {
    expect(read()).toMatchObject({ instead: undefined });
    expect(read("--print")).toMatchObject({ instead: "print", suites: KNOWN.suites });
    expect(read("nchan", "--print")).toMatchObject({ instead: "print", suites: ["nchan"] });
    expect(read("--quote")).toMatchObject({ instead: "quote" });
  });
});

it.each([
  [["toString"], 'no suite "toString"; there are floor, cost, nchan, gateways, peers'],
  [["--bogus"], "'--bogus'"],
  [["-x"], "'-x'"],
  [["--rounds"], "'--rounds"],
  [["--rounds", "0"], "--rounds must be a whole number from 1 to 1000"],
  [["--rounds", "1.5"], 'not "1.5"'],
  [["--seconds", "-1"], "'--seconds'"],
  [["--seconds=-1"], 'not "-1"'],
  [["--seconds", "Infinity"], 'not "Infinity"'],
  [["--seconds", "0"], "--seconds must be a number from 0.01 to 3600"],
  [["--seconds", "9".repeat(400)], "to 3600"],
  [["--keep=no"], "'--keep'"],
  [["--quote", "floor"], "--quote runs nothing"],
  [["--quote", "--print"], "--quote runs nothing"],
  [["--quote", "--rounds", "1"], "--quote runs nothing"],
  [["--print", "--keep"], "--print runs nothing"],
  [["cost", "--rounds", "9"], "cost counts, and takes no --rounds or --seconds"],
])("refuses %j and says in one line what is wrong", (args, said) => {
  expect(() => read(...args)).toThrow(OptionError);
  expect(() => read(...args)).toThrow(said);
  expect(() => read(...args)).not.toThrow(/\n/);
});

const KINDS = { read: 1, create: 2 };

it("compares with a checkout, all kinds or those that are named", async () => {
  const usual = { rounds: 10, seconds: 2 };
  const kinds = ["read", "create", "publish", "gateway"];
  const expected = { other: PROJECT, kinds, effort: usual, memory: false };
  expect(await readCompare([PROJECT], KINDS)).toEqual(expected);
  const args = [PROJECT, "create", "--rounds", "3", "--memory"];
  const effort = { ...usual, rounds: 3 };
  expect(await readCompare(args, KINDS)).toEqual({
    ...expected,
    kinds: ["create"],
    effort,
    memory: true,
  });
});

it.each([
  [[], "PATH is missing"],
  [["/nowhere"], "PATH has no wrangler.toml: /nowhere"],
  [[PROJECT, "nonsense"], 'no kind "nonsense"; there are read, create'],
  [[PROJECT, "--rounds", "0"], "--rounds must be a whole number"],
  [[PROJECT, "--bogus"], "'--bogus'"],
])("compares nothing for %j and says what is wrong", async (args, said) => {
  await expect(readCompare(args, KINDS)).rejects.toThrow(OptionError);
  await expect(readCompare(args, KINDS)).rejects.toThrow(said);
});

it("profiles reads for five seconds, or what is named", () => {
  expect(readProfile([], KINDS)).toEqual({ kind: "read", seconds: 5 });
  expect(readProfile(["create", "0.25"], KINDS)).toEqual({ kind: "create", seconds: 0.25 });
});

it.each([
  [["toString"], 'no kind "toString"; there are read, create'],
  [["read", "x"], "seconds must be a number from 0.01 to 3600"],
  [["read", "1", "more"], 'nothing comes after seconds, not "more"'],
  [["--bogus"], "'--bogus'"],
])("profiles nothing for %j and says what is wrong", (args, said) => {
  expect(() => readProfile(args, KINDS)).toThrow(OptionError);
  expect(() => readProfile(args, KINDS)).toThrow(said);
});

it("ends a command with 2, a line that names the argument, and the usage", async () => {
  const script = join(PROJECT, "bench", "profile.ts");
  const child = spawn(process.execPath, [script, "nonsense"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = once(child, "exit");
  const said = (await child.stderr.setEncoding("utf8").toArray()).join("");
  expect(said).toContain('profile: no kind "nonsense"; there are read');
  expect(said).toContain("node bench/profile.ts [KIND]");
  expect(await ended).toEqual([2, null]);
});
