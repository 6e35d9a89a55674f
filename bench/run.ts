/** `npm run bench` runs every suite; `npm run bench -- NAME…` runs the named ones. */
import { BENCH_USAGE, readBench, type BenchOptions } from "./command-lines.ts";
import { progress, type Effort } from "./measure.ts";
import { runCommand } from "../scripts/command-line.ts";
import { durableStreams } from "./peers/durable-streams/suite.ts";
import { expressSession } from "./peers/express-session/suite.ts";
import { bridge } from "./peers/gateways/bridge.ts";
import { gateways } from "./peers/gateways/suite.ts";
import { mcpAgent } from "./peers/mcp-agent/suite.ts";
import { nchan } from "./peers/nchan/suite.ts";
import {
  keep,
  printReport,
  quoteResults,
  readResults,
  tables,
  whyNotKept,
  type Report,
} from "./report.ts";
import { cost } from "./suites/cost.ts";
import { directory } from "./suites/directory.ts";
import { floor } from "./suites/floor.ts";
import { growth } from "./suites/growth/suite.ts";

/** A suite. The effort that it gets replaces its own default. */
type Suite = (effort: Partial<Effort>) => Promise<Report>;

const PEERS = {
  "mcp-agent": mcpAgent,
  gateways,
  bridge,
  nchan,
  "durable-streams": durableStreams,
  "express-session": expressSession,
};
const SUITES: Readonly<Record<string, Suite>> = { floor, cost, directory, growth, ...PEERS };

const groups = { peers: Object.keys(PEERS) };
const KNOWN = { suites: Object.keys(SUITES), counting: ["cost"], groups };

async function run(name: string, suite: Suite, options: BenchOptions): Promise<void> {
  const started = performance.now();
  const found = await suite(options.effort);
  const given = KNOWN.counting.includes(name) ? [] : options.given;
  const report = { ...found, command: ["npm run bench --", name, ...given].join(" ") };
  printReport(report);
  progress(`${name}: ${((performance.now() - started) / 1000).toFixed(0)} s`);
  const why = whyNotKept(report, options.keep);
  if (why !== undefined) return progress(`${name} is not kept: ${why}`);
  await keep(report);
  // At once, so that docs/performance.md agrees with the results even if a later suite fails.
  await quoteResults();
}

async function main(options: BenchOptions): Promise<void> {
  if (options.instead === "quote") return quoteResults();
  if (options.instead === "print") {
    const kept = (await readResults()).filter(({ suite }) => options.suites.includes(suite));
    return console.log(kept.map((result) => tables(result).join("\n")).join("\n"));
  }
  for (const [name, suite] of Object.entries(SUITES)) {
    if (!options.suites.includes(name)) continue;
    // The other suites still run if one fails, perhaps for lack of a network.
    await run(name, suite, options).catch((failure: unknown) => {
      console.error(`bench: ${name} failed:`, failure);
      process.exitCode = 1;
    });
  }
}

await runCommand("bench", BENCH_USAGE, (args) => main(readBench(args, KNOWN)));
