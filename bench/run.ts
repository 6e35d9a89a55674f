/**
 * `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named.
 * `--rounds` and `--seconds` set the effort of the suites of peers.
 */
import { parseArgs } from "node:util";
import { PEERS } from "./peers/suites.ts";
import { publishReport, type Report } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { growth } from "./suites/growth.ts";
import { floor } from "./suites/floor.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    seconds: { type: "string", default: "1" },
  },
});
const effort = { rounds: Number(values.rounds), seconds: Number(values.seconds) };
const peers = Object.entries(PEERS).map(([name, suite]) => [name, () => suite(effort)] as const);

const SUITES: Readonly<Record<string, () => Promise<Report>>> = {
  floor,
  cost,
  growth,
  ...Object.fromEntries(peers),
};

const asked = positionals.flatMap((name) => (name === "peers" ? Object.keys(PEERS) : name));
const unknown = asked.filter((name) => !(name in SUITES));
if (!(effort.rounds >= 1 && effort.seconds > 0)) {
  console.error("bench: --rounds must be at least 1 and --seconds more than 0");
  process.exitCode = 1;
} else if (unknown.length > 0) {
  console.error(
    `bench: no suite ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}, and peers`,
  );
  process.exitCode = 1;
} else {
  for (const [name, suite] of Object.entries(SUITES)) {
    if (asked.length === 0 || asked.includes(name)) await publishReport(await suite());
  }
}
