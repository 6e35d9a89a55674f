/** The servers that are compared, each a process of plain workerd on a free port with storage of its own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle, PROJECT } from "../scripts/bundle.ts";
import { startWorkerd } from "../scripts/workerd.ts";

export interface Server {
  readonly url: string;
  readonly pid: number;
  stop(): Promise<void>;
}

export async function startWorker(
  name: string,
  configPath: string,
  env: Record<string, string> = {},
): Promise<Server> {
  const bundle = await buildBundle(join(PROJECT, ".holdfast", "bench", name), configPath);
  const stateDir = await mkdtemp(join(tmpdir(), `bench-${name}-`));
  const workerd = await startWorkerd({
    bundle: bundle.path,
    config: configPath,
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env,
    onLine: () => {},
  });
  return {
    url: workerd.url,
    pid: workerd.process.pid ?? 0,
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
