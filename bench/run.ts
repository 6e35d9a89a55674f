/** `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named. `options.ts` has the rest. */
import { progress, type Effort } from "./measure.ts";
import { OptionError, readOptions, USAGE, type BenchOptions } from "./options.ts";
import { PEERS } from "./peers/suites.ts";
import { keepReport, printReport, whyNotKept, type Report, writeSummary } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { directory } from "./suites/directory.ts";
import { floor } from "./suites/floor.ts";
import { growth } from "./suites/growth/suite.ts";

/** A suite; it takes what it is given of an effort in place of its own default. */
type Suite = (effort: Partial<Effort>) => Promise<Report>;

const COUNTING: Readonly<Record<string, Suite>> = { cost };
const SUITES: Readonly<Record<string, Suite>> = { floor, ...COUNTING, directory, growth, ...PEERS };

const KNOWN = {
  suites: Object.keys(SUITES),
  counting: Object.keys(COUNTING),
  groups: { peers: Object.keys(PEERS) },
};

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));

async function run(name: string, suite: Suite, options: BenchOptions): Promise<void> {
  const started = performance.now();
  const found = await suite(options.effort);
  const given = Object.hasOwn(COUNTING, name) ? [] : options.given;
  const report = { ...found, command: ["npm run bench --", name, ...given].join(" ") };
  printReport(report);
  progress(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const why = whyNotKept(report, options.keep);
  if (why !== undefined) return progress(`${name} is not kept: ${why}`);
  await keepReport(report);
  // At once, so that what is quoted is what is kept, whatever comes of the suites after it.
  await writeSummary();
}

async function main(options: BenchOptions): Promise<void> {
  if (options.quote) return writeSummary();
  for (const [name, suite] of Object.entries(SUITES)) {
    if (!options.suites.includes(name)) continue;
    // One that fails, for want of a network perhaps, keeps the others from nothing.
    await run(name, suite, options).catch((failure: unknown) => {
      console.error(`bench: ${name} failed:`, failure);
      process.exitCode = 1;
    });
  }
}

try {
  const args = process.argv.slice(2);
  if (args.includes("--help")) console.log(USAGE);
  else await main(readOptions(args, KNOWN));
} catch (failure) {
  const isOption = failure instanceof OptionError;
  console.error(isOption ? `bench: ${failure.message}\n${USAGE}` : failure);
  process.exitCode = isOption ? 2 : 1;
}
// A server or a connection that a suite left behind would keep this process for ever.
process.exit();
