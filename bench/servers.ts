/** The servers that are compared, each a process of plain workerd on a free port with storage of its own. */
import { mkdir, readFile, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { buildBundle, PROJECT, type Bundle } from "../scripts/bundle.ts";
import { startWorkerd } from "../scripts/workerd.ts";
import { freePort } from "../test/support/free-port.ts";
import { progress } from "./measure.ts";
import { mkdtempSync, rmSync } from "node:fs";

/** Folders for what servers store. Each is deleted at the latest when this process ends, by a signal too if that makes it exit. */
const folders = new Set<string>();
process.once("exit", () => folders.forEach(removeFolder));

/** Makes an empty folder and answers its path. Synchronous, so that no signal comes between making and noting it. */
export function makeFolder(name: string, parent = tmpdir()): string {
  const path = mkdtempSync(join(parent, `bench-${name}-`));
  folders.add(path);
  return path;
}

/** Tries again for half a second where a server that has just been killed still makes files. */
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
  /** `kill -9`, and up again at once on the same port and storage. */
  crash(): Promise<void>;
}

export interface WorkerOptions {
  readonly env?: Record<string, string>;
  readonly onLine?: (line: string) => void;
  /** Where its storage's own folder is made. */
  readonly folder?: string;
  /** Further arguments of `workerd serve`. */
  readonly args?: readonly string[];
}

export async function startWorker(
  name: string,
  configPath: string,
  { env = {}, onLine = () => {}, folder = tmpdir(), args = [] }: WorkerOptions = {},
): Promise<WorkerServer> {
  const bundle = await bundleOf(name, configPath);
  const stateDir = makeFolder(name, folder);
  const port = await freePort();
  const launch = () =>
    startWorkerd({
      bundle: bundle.path,
      config: configPath,
      host: "127.0.0.1",
      port,
      stateDir,
      env,
      args,
      onLine,
    });
  let workerd = await launch();
  return {
    url: workerd.url,
    get pid() {
      return workerd.process.pid ?? 0;
    },
    async crash() {
      workerd.process.kill("SIGKILL");
      await workerd.ended;
      workerd = await launch();
    },
    async stop() {
      await workerd.stop(0);
      // On a disk not before the end: ext4 looks at every inode that was deleted in the last minutes
      // when it makes a file near them, which whatever is measured next would pay.
      if (folder === MEMORY_FOLDER) removeFolder(stateDir);
    },
  };
}

const bundles = new Map<string, Promise<Bundle>>();

/** Built once in a run, however many servers are made of it. */
function bundleOf(name: string, configPath: string): Promise<Bundle> {
  const known = bundles.get(name);
  if (known) return known;
  const building = buildBundle(join(PROJECT, ".holdfast", "bench", name), configPath);
  bundles.set(name, building);
  // The next suite may have more luck.
  building.catch(() => bundles.delete(name));
  return building;
}

export function startHoldfast(
  env: Record<string, string> = {},
  folder?: string,
): Promise<WorkerServer> {
  return startWorker("holdfast", join(PROJECT, "wrangler.toml"), {
    env: { LOG_LEVEL: "warn", ...env },
    ...(folder !== undefined && { folder }),
  });
}

export function startFloor(folder?: string): Promise<WorkerServer> {
  const config = join(PROJECT, "bench", "floors", "wrangler.toml");
  return startWorker("floor", config, folder === undefined ? {} : { folder });
}

/**
 * The service with another entry (`main`, a path) or with the names of its functions kept
 * (`readable`), and otherwise configured and bundled as `wrangler.toml` says.
 */
export async function startVariant(
  name: string,
  variant: { readonly main?: string; readonly readable?: boolean },
  options: WorkerOptions = {},
): Promise<WorkerServer> {
  const folder = join(PROJECT, ".holdfast");
  const configPath = join(folder, `${name}.wrangler.toml`);
  const toml = await readFile(join(PROJECT, "wrangler.toml"), "utf8");
  const main = JSON.stringify(variant.main ?? join(PROJECT, "src", "worker.ts"));
  const entered = toml.replace('main = "src/worker.ts"', `main = ${main}`);
  await mkdir(folder, { recursive: true });
  await writeFile(
    configPath,
    variant.readable ? entered.replace("minify = true", "minify = false") : entered,
  );
  return startWorker(name, configPath, options);
}

/** Seconds after which workerd has put out of memory all objects that had nothing to do; it waits for some ten. */
export const EVICTION_S = 15;

/** Lets so much time pass in silence. */
export async function untilEvicted(): Promise<void> {
  progress(`silence of ${EVICTION_S} s`);
  await delay(EVICTION_S * 1000);
}

/** A folder in memory, and how much room the largest storage needs there. */
const MEMORY_FOLDER = "/dev/shm";
const ROOM_BYTES = 4 * 2 ** 30;

/** Where a suite keeps its storage if the speed of a disk would hide what it measures. */
export async function memoryFolder(): Promise<string> {
  const found = await statfs(MEMORY_FOLDER).catch(() => undefined);
  return found && found.bavail * found.bsize >= ROOM_BYTES ? MEMORY_FOLDER : tmpdir();
}

/** Makes a session and answers its id. */
export async function makeSession(server: Pick<Server, "url">, body: object = {}): Promise<string> {
  const response = await fetch(`${server.url}/v1/sessions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 201) throw new Error(`create answered ${response.status}`);
  return ((await response.json()) as { id: string }).id;
}

/** Events that the service takes in one publish. */
const BATCH = 100;

/** Publishes so many numbered events (`#0`, `#1` …) to a stream, and answers their ids. */
export async function publishEvents(url: string, count: number, padding = ""): Promise<string[]> {
  const ids: string[] = [];
  while (ids.length < count) {
    const events = Array.from({ length: Math.min(BATCH, count - ids.length) }, (_, n) => ({
      data: `#${ids.length + n} ${padding}`.trimEnd(),
    }));
    const response = await fetch(url, {
      method: "POST",
      body: JSON.stringify(events),
      headers: { "content-type": "application/json" },
    });
    if (response.status !== 202) throw new Error(`publishing answered ${response.status}`);
    ids.push(...((await response.json()) as { ids: string[] }).ids);
  }
  return ids;
}

/** The servers of a suite end when it does, however it ends. */
export interface Stoppable {
  stop(): Promise<void>;
}

/** Takes charge of a server from the moment that it begins to start, and answers what the start answers. */
export type Start = <Server extends Stoppable>(starting: Promise<Server>) => Promise<Server>;

/**
 * Runs with servers, and stops all of them before it settles: those too that were started
 * beside one that failed, and those that come up only after that. A server that cannot be
 * stopped is told of and hides no result and no failure.
 */
export async function withServers<Result>(run: (start: Start) => Promise<Result>): Promise<Result> {
  const starts: Promise<Stoppable>[] = [];
  try {
    return await run((starting) => {
      starts.push(starting);
      return starting;
    });
  } finally {
    for (const start of await Promise.allSettled(starts.map(stopped))) {
      if (start.status === "fulfilled" && start.value) progress(start.value);
    }
  }
}

/** What went wrong with stopping it. A start that failed is whoever asked for it's to tell. */
async function stopped(starting: Promise<Stoppable>): Promise<string | undefined> {
  const server = await starting;
  return server.stop().then(
    () => undefined,
    (failure: unknown) => `a server could not be stopped: ${String(failure)}`,
  );
}
