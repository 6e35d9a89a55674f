/** The peers are a package of their own, installed when they are first measured. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { progress, type Effort } from "../measure.ts";

/** A suite of peers does this much unless told otherwise. */
export const PEERS_EFFORT: Effort = { rounds: 3, seconds: 0.8 };

const FOLDER = import.meta.dirname;
const MODULES = join(FOLDER, "node_modules");

/** Installs what the lock file names, unless that is what is there. */
export async function installPeers(): Promise<void> {
  if (await isInstalled()) return;
  progress("installing the peers (npm ci in bench/peers, 170 MB), about half a minute");
  await promisify(execFile)("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: FOLDER,
    // `npm run -s` would keep npm from saying what went wrong.
    env: { ...process.env, npm_config_loglevel: "error" },
  });
}

interface Manifest {
  readonly version: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

async function isInstalled(): Promise<boolean> {
  const { dependencies = {} } = await manifest(FOLDER);
  const wrong = Object.entries(dependencies).map(async ([name, wanted]) => {
    return (await peerVersion(name).catch(() => undefined)) !== wanted;
  });
  return !(await Promise.all(wrong)).includes(true);
}

export async function peerVersion(name: string): Promise<string> {
  return (await manifest(join(MODULES, name))).version;
}

/** The path of a file of a peer. */
export function peerFile(...path: string[]): string {
  return join(MODULES, ...path);
}

async function manifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as Manifest;
}
