/**
 * What the directory adds to a create. Two services on plain workerd, the same
 * bundle, one with its directory and one without (`DIRECTORY_SHARDS=0`), are asked
 * in turns: each round makes as many sessions on the one as on the other, and the
 * order changes with every round. Both feel what else the machine does.
 *
 *     node bench/directory-create.ts [rounds] [creates per round] [milliseconds between creates]
 *
 * With a pause between creates it measures how long an answer takes, which
 * delivery in the background must not hold up. Without one (0) it measures how
 * much work there is in all: workerd by itself has one thread, which writes to
 * disk as well, for every object; on the platform objects do not share one.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle } from "../scripts/bundle.ts";
import { startWorkerd, type Workerd } from "../scripts/workerd.ts";

const [rounds = 30, creates = 30, pauseMs = 50] = process.argv.slice(2).map(Number);
/** Milliseconds between turns: what one delivers in the background must not fall into the other's. */
const REST_MS = 100;

const agent = new Agent({ keepAlive: true, maxSockets: 1 });

function create(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const body = JSON.stringify({ subject: `subject-${Math.floor(Math.random() * 20)}` });
    const headers = { "content-type": "application/json", "content-length": body.length };
    const sent = request(`${url}/v1/sessions`, { method: "POST", agent, headers }, (response) => {
      response.resume().on("end", () => {
        if (response.statusCode === 201) resolve();
        else reject(new Error(`create answered ${response.statusCode}`));
      });
    });
    sent.on("error", reject).end(body);
  });
}

/** Milliseconds of each create. */
async function turn(url: string): Promise<number[]> {
  const taken: number[] = [];
  for (let n = 0; n < creates; n++) {
    const start = performance.now();
    await create(url);
    taken.push(performance.now() - start);
    if (pauseMs > 0) await pause(pauseMs);
  }
  await pause(REST_MS);
  return taken;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? NaN;
}

const bundle = await buildBundle();
const directories: string[] = [];
async function start(shards: number): Promise<Workerd> {
  const stateDir = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  directories.push(stateDir);
  return startWorkerd({
    bundle: bundle.path,
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env: { DIRECTORY_SHARDS: String(shards), LOG_LEVEL: "error" },
    onLine: (line) => console.error(line),
  });
}

const services = { with: await start(8), without: await start(0) };
try {
  await turn(services.with.url);
  await turn(services.without.url);
  const all = { with: [] as number[], without: [] as number[] };
  const ratios: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const medians = { with: NaN, without: NaN };
    const order = round % 2 === 0 ? (["with", "without"] as const) : (["without", "with"] as const);
    for (const which of order) {
      const taken = await turn(services[which].url);
      medians[which] = quantile(taken, 0.5);
      all[which].push(...taken);
    }
    ratios.push(medians.with / medians.without);
  }
  for (const which of ["without", "with"] as const) {
    const [p50, p95] = [0.5, 0.95].map((q) => quantile(all[which], q).toFixed(2));
    console.log(`${which.padEnd(8)} p50 ${p50} ms  p95 ${p95} ms  (${all[which].length} creates)`);
  }
  const [q1, median, q3] = [0.25, 0.5, 0.75].map((q) => quantile(ratios, q).toFixed(3));
  console.log(`with / without, median over ${rounds} pairs: ${median} (quartiles ${q1}, ${q3})`);
} finally {
  agent.destroy();
  await Promise.all([services.with.stop(1000), services.without.stop(1000)]);
  for (const path of directories) await rm(path, { recursive: true, force: true });
}
