/**
 * `npm run soak`: load and faults, then the auditor's verdict. The status is 1 if anything was lost,
 * 2 if the soak could not be carried out, and 130 or 143 after SIGINT or SIGTERM.
 */
import { runCommand } from "../../scripts/command-line.ts";
import { DEFAULTS, isKept, readOptions, USAGE, type SoakOptions } from "./options.ts";
import { reportSoak } from "./soak-report.ts";
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
  if (!isKept(options)) {
    console.error(`soak: results not kept: one shorter than ${DEFAULTS.seconds} s needs --keep`);
  }
}

await runCommand("soak", USAGE, (args) => main(readOptions(args)), 2);
