/**
 * Reads the folder that `npm run build` makes for `holdfast serve`: the bundled Worker, the part of
 * wrangler.toml that plain workerd needs, and the pages. Nothing writes into it afterwards.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { WorkerConfig } from "./worker-config.ts";

/** In the folder: the Worker's one module, its configuration, and the folder of its pages. */
export const WORKER_FILE = "worker.js";
export const CONFIG_FILE = "worker.json";
export const PAGES_FOLDER = "console";

export interface Artifact {
  /** Path of the Worker's module. */
  readonly bundle: string;
  readonly config: WorkerConfig;
  /** Path of the folder of the pages. */
  readonly pages: string;
}

export function readArtifact(folder: string): Artifact {
  const config = JSON.parse(readFileSync(join(folder, CONFIG_FILE), "utf8")) as WorkerConfig;
  return { bundle: join(folder, WORKER_FILE), config, pages: join(folder, PAGES_FOLDER) };
}
