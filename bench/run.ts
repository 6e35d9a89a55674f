/**
 * `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named.
 * `--rounds` and `--seconds` set the effort of those that compare. `--quote` runs none
 * and only writes the README's performance section anew from the results that are kept.
 */
import { parseArgs } from "node:util";
import { progress, type Effort } from "./measure.ts";
import { PEERS } from "./peers/suites.ts";
import { publishReport, type Report } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { directory } from "./suites/directory.ts";
import { floor } from "./suites/floor.ts";
import { growth } from "./suites/growth/suite.ts";
import { writeSummary } from "./summary.ts";

const SUITES: Readonly<Record<string, (effort?: Effort) => Promise<Report>>> = {
  floor,
  cost,
  directory,
  growth,
  ...PEERS,
};

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string" },
    seconds: { type: "string" },
    quote: { type: "boolean", default: false },
  },
});
const asked = positionals.flatMap((name) => (name === "peers" ? Object.keys(PEERS) : name));
const said = values.rounds !== undefined || values.seconds !== undefined;
const effort = { rounds: Number(values.rounds ?? 5), seconds: Number(values.seconds ?? 1) };

function whatIsWrong(): string | undefined {
  const unknown = asked.filter((name) => !(name in SUITES));
  if (unknown.length > 0)
    return `no suite ${unknown.join(", ")}; there are ${Object.keys(SUITES).join(", ")}, and peers`;
  if (Number.isInteger(effort.rounds) && effort.rounds > 0 && effort.seconds > 0) return undefined;
  return "--rounds must be a whole number of at least 1, and --seconds more than 0";
}

async function run(name: string, suite: (effort?: Effort) => Promise<Report>): Promise<void> {
  const started = performance.now();
  const report = await suite(said ? effort : undefined);
  const options = `--rounds ${effort.rounds} --seconds ${effort.seconds}`;
  await publishReport({
    ...report,
    ...(said && { command: `npm run bench -- ${name} ${options}` }),
  });
  progress(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

const wrong = whatIsWrong();
if (wrong === undefined) {
  for (const [name, suite] of Object.entries(SUITES)) {
    if (values.quote || (asked.length > 0 && !asked.includes(name))) continue;
    // One that fails, for want of a network perhaps, keeps the others from nothing.
    await run(name, suite).catch((failure: unknown) => {
      console.error(`bench: ${name} failed:`, failure);
      process.exitCode = 1;
    });
  }
  await writeSummary();
} else {
  console.error(`bench: ${wrong}`);
  process.exitCode = 1;
}
// A server or a connection that a suite left behind would keep this process for ever.
process.exit();
