/**
 * `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named.
 * `--rounds` and `--seconds` set the effort of those that compare.
 */
import { parseArgs } from "node:util";
import type { Effort } from "./measure.ts";
import { PEERS } from "./peers/suites.ts";
import { publishReport, type Report } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { directory } from "./suites/directory.ts";
import { floor } from "./suites/floor.ts";
import { growth } from "./suites/growth.ts";

const SUITES: Readonly<Record<string, (effort?: Effort) => Promise<Report>>> = {
  floor,
  cost,
  directory,
  growth,
  ...PEERS,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: "string" }, seconds: { type: "string" } },
});
const asked = positionals.flatMap((name) => (name === "peers" ? Object.keys(PEERS) : name));
const unknown = asked.filter((name) => !(name in SUITES));
const effort = { rounds: Number(values.rounds ?? 5), seconds: Number(values.seconds ?? 1) };
if (!(effort.rounds >= 1 && effort.seconds > 0)) {
  console.error("bench: --rounds must be at least 1 and --seconds more than 0");
  process.exitCode = 1;
} else if (unknown.length > 0) {
  console.error(
    `bench: no suite ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}, and peers`,
  );
  process.exitCode = 1;
} else {
  const said = values.rounds !== undefined || values.seconds !== undefined;
  for (const [name, suite] of Object.entries(SUITES)) {
    if (asked.length > 0 && !asked.includes(name)) continue;
    await publishReport(await suite(said ? effort : undefined));
  }
}
