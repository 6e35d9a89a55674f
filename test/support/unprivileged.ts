/** Commands as a user that owns nothing. */
import { spawnSync } from "node:child_process";
import { chownSync } from "node:fs";
import { delimiter, join } from "node:path";

const NOBODY = 65_534;
/** Only root can become another user. Anybody else is unprivileged already. */
const isRoot = process.getuid?.() === 0;

/** The arguments before a command that run it as `nobody`. */
export const AS_NOBODY: readonly string[] = isRoot
  ? ["setpriv", `--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"]
  : [];

/** Gives a folder to that user. */
export function giveToNobody(folder: string): void {
  if (isRoot) chownSync(folder, NOBODY, NOBODY);
}

/** The search path without this project's own programs: those that a machine has. */
export const MACHINE_PATH = (process.env["PATH"] ?? "")
  .split(delimiter)
  .filter((folder) => !folder.includes("node_modules"))
  .join(delimiter);

/** A Node that this user may run: the one that runs this, or the machine's. */
export function nodeForNobody(): string {
  const own = process.execPath;
  const nodes = [own, ...MACHINE_PATH.split(delimiter).map((folder) => join(folder, "node"))];
  const runs = (node: string) => {
    const [command = "", ...args] = [...AS_NOBODY, node, "--version"];
    return spawnSync(command, args, { cwd: "/" }).status === 0;
  };
  return nodes.find(runs) ?? own;
}
