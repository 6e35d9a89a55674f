/**
 * `npm run matrix` drives each server of npm with each client of npm, direct and through the
 * gateway: the same tools, results, progress and errors, and usable again at once when the server
 * was killed and started anew. It then runs the conformance suite in the same way. The result of
 * the whole is kept in test/matrix/results and quoted in docs/mcp.md. The status is 1 where the gateway is worse than direct.
 */
import { runCommand } from "../../scripts/command-line.ts";
import { buildBundle } from "../../scripts/bundle.ts";
import { readWorkerConfig } from "../../scripts/worker-config.ts";
import { startWorkerd } from "../../scripts/workerd.ts";
import { Fixture } from "../support/mcp/fixture.ts";
import { freePort } from "../support/free-port.ts";
import { drive, type Cell } from "./cell.ts";
import { conform, SUITES, type Conformance } from "./conformance.ts";
import { makeFolder, remove } from "./folder.ts";
import { install, versions } from "./installed.ts";
import { readOptions, USAGE, type MatrixOptions } from "./options.ts";
import { differences, keep, machine, section, type Result } from "./results.ts";
import { REFERENCE, RunningServer, type ServerKind, type Transport } from "./servers.ts";

/** Milliseconds after which nothing more is begun. */
const LIMIT_MS = 30 * 60_000;

interface Upstream {
  readonly url: string;
  readonly transport?: Transport;
}

/** Runs `work` with a gateway of its own in front of `upstream`. */
async function behindGateway<T>(
  bundle: string,
  upstream: Upstream,
  work: (url: string) => Promise<T>,
): Promise<T> {
  const stateDir = makeFolder();
  const env = { UPSTREAMS: JSON.stringify({ default: upstream }) };
  const place = { bundle, config: readWorkerConfig(), host: "127.0.0.1", port: 0, stateDir };
  const options = { ...place, env, onLine: () => undefined };
  const workerd = await startWorkerd(options);
  try {
    return await work(workerd.url);
  } finally {
    await workerd.stop(0);
    remove(stateDir);
  }
}

function tell(what: string, differences: readonly string[]): void {
  const verdict = differences.length === 0 ? "same" : "WORSE";
  console.error([`${verdict}  ${what}`, ...differences].join("\n  "));
}

async function drivePairs(options: MatrixOptions, bundle: string, until: number): Promise<Cell[]> {
  const cells: Cell[] = [];
  const waiting = [...options.servers];
  const lane = async () => {
    for (let kind = waiting.shift(); kind; kind = waiting.shift()) {
      await driveServer(kind, options, bundle, until, cells);
    }
  };
  await Promise.all(Array.from({ length: options.lanes }, lane));
  return cells;
}

async function driveServer(
  kind: ServerKind,
  { clients }: MatrixOptions,
  bundle: string,
  until: number,
  cells: Cell[],
): Promise<void> {
  const server = new RunningServer(kind, await freePort());
  await server.start();
  try {
    await behindGateway(bundle, { url: server.url, transport: kind.transport }, async (gateway) => {
      for (const client of clients) {
        if (performance.now() > until) return;
        const started = performance.now();
        const cell = await drive(server, client, gateway);
        const seconds = ((performance.now() - started) / 1000).toFixed(1);
        tell(`${kind.name} / ${client}  ${seconds} s`, cell.differences);
        cells.push(cell);
      }
    });
  } finally {
    await server.kill();
  }
}

/** Our own complete server and the reference server, under each suite. */
async function runSuites(bundle: string, until: number): Promise<Conformance[]> {
  const found: Conformance[] = [];
  const runAll = async (name: string, url: string) =>
    behindGateway(bundle, { url }, async (gateway) => {
      for (const suite of SUITES) {
        if (performance.now() > until) return;
        const one = await conform(suite, name, url, `${gateway}/mcp`);
        tell(`conformance ${suite.name} / ${name}`, one.differences);
        found.push(one);
      }
    });
  const fixture = await Fixture.start();
  await runAll("our fixture", fixture.url).finally(() => fixture.stop());
  const everything = new RunningServer(REFERENCE, await freePort());
  await everything.start();
  await runAll(REFERENCE.name, everything.url).finally(() => everything.kill());
  return found;
}

async function main(args: readonly string[]): Promise<void> {
  const options = readOptions(args);
  await install();
  const started = performance.now();
  const until = started + LIMIT_MS;
  const { path } = await buildBundle();
  const cells = await drivePairs(options, path, until);
  const conformance = options.conformance ? await runSuites(path, until) : [];
  const result: Result = {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    seconds: Math.round((performance.now() - started) / 1000),
    versions: await versions(),
    cells,
    conformance,
  };
  console.log(section(result));
  const complete = performance.now() <= until;
  if (!complete) console.error("matrix: out of time, some are not run");
  if (complete && options.whole) await keep(result);
  process.exitCode = complete && differences(result).length === 0 ? 0 : 1;
}

await runCommand("matrix", USAGE, main);
