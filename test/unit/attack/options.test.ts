/** The command line of `npm run attack`. */
import { expect, it } from "vitest";
import { FUZZ_REQUESTS, readOptions } from "../../attack/options.ts";

const NAMES = ["idle", "echoes"];

it("runs every kind, and keeps the result", () => {
  expect(readOptions([], NAMES)).toEqual({ kinds: NAMES, requests: 0, seed: 1, whole: true });
});

it("runs the named ones alone, or the fuzzer alone, and keeps no part as the whole", () => {
  expect(readOptions(["--kind", "echoes"], NAMES)).toMatchObject({
    kinds: ["echoes"],
    requests: 0,
    whole: false,
  });
  expect(readOptions(["--fuzz"], NAMES)).toMatchObject({ kinds: [], requests: FUZZ_REQUESTS });
  const some = ["--fuzz", "--requests", "500", "--seed", "7"];
  expect(readOptions(some, NAMES)).toMatchObject({ requests: 500, seed: 7, whole: false });
});

it.each([
  [["--kind", "nuke"], 'no kind "nuke"; there are idle, echoes'],
  [["--kind", "idle", "--fuzz"], "not both"],
  [["--requests", "5"], "are for --fuzz"],
  [["--fuzz", "--requests", "0"], "--requests must be a whole number of at least 1"],
  [["stray"], "stray"],
])("refuses %j and says why", (args, said) => {
  expect(() => readOptions(args, NAMES)).toThrow(said);
});
