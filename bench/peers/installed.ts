/** The peers are a package of their own. The first suite that needs them installs it. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { progress, type Effort } from "../measure.ts";

/** The default effort of the peers' suites. */
export const PEERS_EFFORT: Effort = { rounds: 3, seconds: 0.8 };

const FOLDER = import.meta.dirname;

/** Installs the versions of the lock file, unless they are there. */
export async function installPeers(): Promise<void> {
  if (await isInstalled()) return;
  progress("installing the peers (npm ci in bench/peers, 170 MB), about half a minute");
  await promisify(execFile)("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund"], {
    cwd: FOLDER,
    // Under `npm run -s`, npm would not say what went wrong.
    env: { ...process.env, npm_config_loglevel: "error" },
  });
}

/** npm fails if a package is missing or has another version than package.json says. */
const isInstalled = () =>
  promisify(execFile)("npm", ["ls", "--depth=0"], { cwd: FOLDER }).then(
    () => true,
    () => false,
  );

export async function peerVersion(name: string): Promise<string> {
  const manifest = await readFile(peerFile(name, "package.json"), "utf8");
  return (JSON.parse(manifest) as { version: string }).version;
}

export function peerFile(...path: string[]): string {
  return join(FOLDER, "node_modules", ...path);
}
