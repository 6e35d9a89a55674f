/**
 * `npm run soak`: load and faults for a while, then the auditor's verdict. Ends with 1 where anything
 * was lost, with 2 where it could not be carried out, and with 130 or 143 where SIGINT or SIGTERM ended it.
 */
import { OptionError } from "../../bench/options.ts";
import { DEFAULTS, isKept, readOptions, USAGE, type SoakOptions } from "./options.ts";
import { drawSoak, reportSoak } from "./soak-report.ts";
import { soak } from "./soak.ts";
import type { Journal } from "./journal.ts";

function progressLine(at: number, { timeline }: Journal): string {
  const faults = timeline.faults.filter((fault) => fault.at > at - 10 && fault.at <= at);
  const { at: _, ...stretch } = timeline.stretch(at - 10, at);
  return JSON.stringify({ suite: "soak", at, ...stretch, faults: faults.map(({ kind }) => kind) });
}

async function main(options: SoakOptions): Promise<void> {
  const result = await soak(options, {
    onProgress: (at, journal) => console.log(progressLine(at, journal)),
    onWait: (what) => console.log(JSON.stringify({ suite: "soak", waitsFor: what })),
  });
  await reportSoak(options, result);
  for (const { kind, where, detail } of result.losses) {
    console.error(`soak: ${kind}: ${where}: ${detail}`);
  }
  if (result.losses.length > 0) {
    console.error(`soak: ${result.losses.length} promises were not kept`);
    process.exitCode = 1;
  }
  if (isKept(options)) await drawSoak();
  else {
    console.error(`soak: results not kept: one shorter than ${DEFAULTS.seconds} s needs --keep`);
  }
}

// As a shell tells it. What was started ends, and its folders go, with the process.
for (const [signal, status] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
] as const) {
  process.once(signal, () => {
    console.error(`soak: ended by ${signal}, without a verdict`);
    process.exit(status);
  });
}

try {
  const args = process.argv.slice(2);
  if (args.includes("--help")) console.log(USAGE);
  else await main(readOptions(args));
} catch (failure) {
  const isOption = failure instanceof OptionError;
  console.error(isOption ? `soak: ${failure.message}\n${USAGE}` : failure);
  // What was lost is the graver news.
  process.exitCode ??= 2;
}
// Left to end by itself, Node 24.21 spins for ever in the clean-up of its handles (measured with perf,
// after relays had reset connections), when all is done and nothing keeps its loop alive.
process.exit();
