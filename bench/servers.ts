/** Starts servers, each a process of plain workerd on a free port with its own storage. */
import { mkdtempSync, rmSync } from "node:fs";
import { mkdir, readFile, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildBundle, PROJECT, type Bundle } from "../scripts/bundle.ts";
import { readWorkerConfig } from "../scripts/worker-config.ts";
import { startWorkerd, type WorkerdOptions } from "../scripts/workerd.ts";
import { freePort } from "../test/support/free-port.ts";
import { progress } from "./measure.ts";

/** Folders of servers' storage. The end of this process deletes them, at the latest. */
const folders = new Set<string>();
process.once("exit", () => folders.forEach(removeFolder));

/** Makes an empty folder. Synchronous, so that no signal comes between making and noting it. */
export function makeFolder(name: string, parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, `bench-${name}-`));
  folders.add(path);
  return path;
}

/** Tries for half a second: a server that was just killed may still make files. */
export function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 30 });
  folders.delete(path);
}

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface WorkerServer extends Server {
  /** The folder of its storage. */
  readonly stateDir: string;
  /** Kills it (`kill -9`) and starts it again on the same port and storage. `free`: without its limit of open files. */
  crash(free?: "free"): Promise<void>;
}

type WorkerdParts = Partial<Pick<WorkerdOptions, "env" | "onLine" | "args" | "openFiles">>;

interface WorkerOptions extends WorkerdParts {
  /** The parent of its storage's folder. */
  readonly folder?: string;
  /** Called when its process has ended by itself. It is started again, as `serve` does: `up` resolves then. */
  readonly onEnd?: (up: Promise<void>) => void;
}

export async function startWorker(
  name: string,
  configPath: string,
  {
    env = {},
    onLine = () => {},
    folder = tmpdir(),
    args = [],
    openFiles,
    onEnd,
  }: WorkerOptions = {},
): Promise<WorkerServer> {
  const bundle = await bundleOf(name, configPath);
  const stateDir = makeFolder(name, folder);
  const port = await freePort();
  const config = readWorkerConfig(configPath);
  const place = { bundle: bundle.path, config, host: "127.0.0.1", port, stateDir };
  let limit = openFiles;
  const launch = async () => {
    const started = await startWorkerd({ ...place, env, args, onLine, openFiles: limit });
    started.ended.then(endedItself, () => undefined);
    return started;
  };
  let wanted = true;
  let starting = launch();
  let workerd = await starting;
  const again = async () => void (workerd = await (starting = launch()));
  function endedItself(): void {
    if (wanted) onEnd?.(again());
  }
  return {
    url: workerd.url,
    stateDir,
    get pid() {
      return workerd.process.pid ?? 0;
    },
    async crash(free) {
      await starting;
      if (free) limit = undefined;
      wanted = false;
      workerd.process.kill("SIGKILL");
      await workerd.ended;
      wanted = true;
      await again();
    },
    async stop() {
      wanted = false;
      await starting;
      await workerd.stop(0);
      // On a disk, storage stays until the end: when ext4 makes a file, it looks at every inode that
      // was deleted nearby in the last minutes, and the next measurement would pay for that.
      if (folder === MEMORY_FOLDER) removeFolder(stateDir);
    },
  };
}

const bundles = new Map<string, Promise<Bundle>>();

/** Builds each bundle once in a run. */
function bundleOf(name: string, configPath: string): Promise<Bundle> {
  const known = bundles.get(name);
  if (known) return known;
  const building = buildBundle(join(PROJECT, ".holdfast", "bench", name), configPath);
  bundles.set(name, building);
  building.catch(() => bundles.delete(name));
  return building;
}

export function startHoldfast(env: Record<string, string> = {}, folder = tmpdir()) {
  const options = { env: { LOG_LEVEL: "warn", ...env }, folder };
  return startWorker("holdfast", join(PROJECT, "wrangler.toml"), options);
}

export function startFloor(folder = tmpdir()) {
  return startWorker("floor", join(PROJECT, "bench", "floors", "wrangler.toml"), { folder });
}

/** Starts the service with another entry (`main`, a path), or with its functions' names kept. */
export async function startVariant(
  name: string,
  variant: { readonly main?: string; readonly readable?: boolean },
  options: WorkerOptions = {},
): Promise<WorkerServer> {
  const configPath = join(PROJECT, ".holdfast", `${name}.wrangler.toml`);
  const main = JSON.stringify(variant.main ?? join(PROJECT, "src", "worker.ts"));
  const toml = (await readFile(join(PROJECT, "wrangler.toml"), "utf8"))
    .replace('main = "src/worker.ts"', `main = ${main}`)
    .replace('".holdfast/console"', JSON.stringify(join(PROJECT, ".holdfast", "console")))
    .replace("minify = true", `minify = ${!variant.readable}`);
  await mkdir(dirname(configPath), { recursive: true });
  await writeFile(configPath, toml);
  return startWorker(name, configPath, options);
}

/** Seconds until workerd has evicted all idle objects. It waits for about ten. */
export const EVICTION_S = 15;

export async function untilEvicted(): Promise<void> {
  progress(`silence of ${EVICTION_S} s`);
  await delay(EVICTION_S * 1000);
}

/** A folder in memory, and the room that the largest storage needs there. */
const MEMORY_FOLDER = "/dev/shm";
const ROOM_BYTES = 4 * 2 ** 30;

/** The place for storage if the speed of a disk would hide the measured effect. */
export async function memoryFolder(): Promise<string> {
  const found = await statfs(MEMORY_FOLDER).catch(() => undefined);
  return found && found.bavail * found.bsize >= ROOM_BYTES ? MEMORY_FOLDER : tmpdir();
}

async function post<Answer>(url: string, body: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`POST ${url} answered ${response.status}`);
  return (await response.json()) as Answer;
}

export async function makeSession({ url }: Pick<Server, "url">, body: object = {}) {
  return (await post<{ id: string }>(`${url}/v1/sessions`, body)).id;
}

/** Events that the service takes in one publish. */
const BATCH = 100;

/** Publishes numbered events (`#0`, `#1` …) and answers their ids. */
export async function publishEvents(url: string, count: number): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const events = Array.from({ length: Math.min(BATCH, count - ids.length) }, (_, n) => {
      return { data: `#${ids.length + n}` };
    });
    ids.push(...(await post<{ ids: string[] }>(url, events)).ids);
  }
  return ids;
}

type Stoppable = Pick<Server, "stop">;

/** Registers a server that is starting, and answers it. */
export type Start = <S extends Stoppable>(starting: Promise<S>) => Promise<S>;

/**
 * Stops all registered servers before it settles, also those that come up after another has failed
 * to. A server that cannot be stopped is reported, and hides no result and no failure.
 */
export async function withServers<Result>(run: (start: Start) => Promise<Result>): Promise<Result> {
  const starts: Promise<Stoppable>[] = [];
  try {
    return await run((starting) => {
      starts.push(starting);
      return starting;
    });
  } finally {
    const running = (await Promise.allSettled(starts)).filter((one) => one.status === "fulfilled");
    for (const end of await Promise.allSettled(running.map(({ value }) => value.stop()))) {
      if (end.status === "rejected") progress(`a server could not be stopped: ${end.reason}`);
    }
  }
}
