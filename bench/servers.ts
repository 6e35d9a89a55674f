/** The servers that are compared, each a process of plain workerd on a free port with storage of its own. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle, PROJECT } from "../scripts/bundle.ts";
import { startWorkerd } from "../scripts/workerd.ts";

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export interface WorkerServer extends Server {
  /** `kill -9`, and up again at once on the same port and storage. */
  crash(): Promise<void>;
}

export async function startWorker(
  name: string,
  configPath: string,
  env: Record<string, string> = {},
  onLine: (line: string) => void = () => {},
): Promise<WorkerServer> {
  const bundle = await buildBundle(join(PROJECT, ".holdfast", "bench", name), configPath);
  const stateDir = await mkdtemp(join(tmpdir(), `bench-${name}-`));
  const launch = (port: number) =>
    startWorkerd({
      bundle: bundle.path,
      config: configPath,
      host: "127.0.0.1",
      port,
      stateDir,
      env,
      onLine,
    });
  let workerd = await launch(0);
  return {
    url: workerd.url,
    get pid() {
      return workerd.process.pid ?? 0;
    },
    async crash() {
      workerd.process.kill("SIGKILL");
      await workerd.ended;
      workerd = await launch(workerd.port);
    },
    async stop() {
      await workerd.stop(0);
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

export function startHoldfast(env: Record<string, string> = {}): Promise<Server> {
  return startWorker("holdfast", join(PROJECT, "wrangler.toml"), {
    LOG_LEVEL: "warn",
    ...env,
  });
}

export function startFloor(): Promise<Server> {
  return startWorker("floor", join(PROJECT, "bench", "floors", "wrangler.toml"));
}

/** The service with a Worker of the benchmarks' own around it (`bench/NAME/worker.ts`), configured as the service is. */
export async function startVariant(
  name: string,
  env: Record<string, string> = {},
  onLine?: (line: string) => void,
): Promise<WorkerServer> {
  const folder = join(PROJECT, ".holdfast");
  const configPath = join(folder, `${name}.wrangler.toml`);
  const toml = await readFile(join(PROJECT, "wrangler.toml"), "utf8");
  const main = `main = ${JSON.stringify(join(PROJECT, "bench", name, "worker.ts"))}`;
  await mkdir(folder, { recursive: true });
  await writeFile(configPath, toml.replace('main = "src/worker.ts"', main));
  return startWorker(name, configPath, env, onLine);
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
