/** `npm run bench` runs every suite, `npm run bench -- NAME…` those that are named. `options.ts` has the rest. */
import { progress, type Effort } from "./measure.ts";
import { OptionError, readOptions, USAGE, type BenchOptions } from "./options.ts";
import { PEERS } from "./peers/suites.ts";
import { publishReport, type Report } from "./report.ts";
import { cost } from "./suites/cost.ts";
import { directory } from "./suites/directory.ts";
import { floor } from "./suites/floor.ts";
import { growth } from "./suites/growth/suite.ts";
import { writeSummary } from "./summary.ts";

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

async function run(name: string, suite: Suite, { effort, given }: BenchOptions): Promise<void> {
  const started = performance.now();
  const report = await suite(effort);
  const options = Object.hasOwn(COUNTING, name) ? [] : given;
  await publishReport({ ...report, command: ["npm run bench --", name, ...options].join(" ") });
  progress(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
}

async function main(options: BenchOptions): Promise<void> {
  for (const [name, suite] of Object.entries(SUITES)) {
    if (options.quote || !options.suites.includes(name)) continue;
    // One that fails, for want of a network perhaps, keeps the others from nothing.
    await run(name, suite, options).catch((failure: unknown) => {
      console.error(`bench: ${name} failed:`, failure);
      process.exitCode = 1;
    });
  }
  await writeSummary();
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
