/** `node bench/compare.ts PATH [KIND…]` compares this checkout with another one in turns. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";
import { compareUsage, readCompare, type CompareOptions } from "./command-lines.ts";
import { compare, compareAll, cpu, OURS, p50, rate, type Compared } from "./comparison.ts";
import { CONNECTIONS, envFor, LOADS } from "./loads.ts";
import type { Contender } from "./measure.ts";
import { named, runCommand } from "../scripts/command-line.ts";
import { printReport } from "./report.ts";
import { memoryFolder, startWorker, withServers } from "./servers.ts";

/** Runs one load on both checkouts, with fresh storage for each. */
function compareOn(kind: string, { other, effort, memory }: CompareOptions): Promise<Compared> {
  return withServers(async (start) => {
    const env = { LOG_LEVEL: "warn", ...(await envFor(kind, start)) };
    const folder = memory ? await memoryFolder() : tmpdir();
    const prepare = named("kind", kind, LOADS);
    const contenders: Contender[] = [];
    for (const [name, bundle, checkout] of [
      [OURS, "holdfast", PROJECT],
      [other, "other", other],
    ] as const) {
      const config = join(checkout, "wrangler.toml");
      const server = await start(startWorker(bundle, config, { env, folder }));
      contenders.push({ name, pid: server.pid, run: await prepare(server) });
    }
    return compare({ job: kind, measures: [rate(), p50(), cpu] }, contenders, effort);
  });
}

async function run(asked: CompareOptions): Promise<void> {
  const { other, kinds, effort, memory } = asked;
  const compared = await compareAll(kinds.map((kind) => () => compareOn(kind, asked)));
  const given = [...kinds, "--rounds", effort.rounds, "--seconds", effort.seconds];
  printReport({
    suite: "compare",
    title: "This checkout against another",
    command: ["node bench/compare.ts", other, ...given, ...(memory ? ["--memory"] : [])].join(" "),
    ...compared,
    notes: [
      `In turns for ${effort.rounds} rounds of ${effort.seconds} s after a warm-up, ${CONNECTIONS} under way at a time${memory ? ", storage in memory" : ""}. A ratio is of the medians of rounds, with the least and the greatest of one round in brackets.`,
    ],
  });
}

await runCommand("compare", compareUsage(LOADS), async (args) =>
  run(await readCompare(args, LOADS)),
);
