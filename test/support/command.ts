/** The project's commands as processes that end with the test. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PROJECT } from "../../scripts/bundle.ts";
import { freePort } from "./free-port.ts";
import { keepLog } from "./kept-logs.ts";
import { atEnd } from "./scope.ts";

export interface Running {
  readonly process: ChildProcess;
  readonly lines: string[];
  readonly exit: Promise<number | null>;
  /** The same, once all that it wrote is among the lines too. */
  readonly closed: Promise<number | null>;
  printed(pattern: RegExp): Promise<string>;
}

export function run(
  args: readonly string[],
  env: Record<string, string>,
  command = process.execPath,
  cwd = PROJECT,
): Running {
  const child = spawn(command, args, {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
    // A group of its own: wrangler's command starts processes that its own death would leave behind.
    detached: true,
  });
  const exit = once(child, "exit").then(([code]) => code as number | null);
  const closed = once(child, "close").then(([code]) => code as number | null);
  atEnd(async () => {
    killGroup(child);
    await exit;
  });
  const lines: string[] = [];
  const waiting = new Set<() => void>();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", (line) => {
      lines.push(line);
      keepLog(line);
      for (const look of waiting) look();
    });
  }
  const printed = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const line = lines.find((text) => pattern.test(text));
        if (line !== undefined) resolve(line);
      };
      waiting.add(look);
      void exit.then(() => reject(new Error(`ended without ${pattern}: ${lines.join("\n")}`)));
      look();
    });
  return { process: child, lines, exit, closed, printed };
}

/** Ends the process and all that it started. */
export function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

/** `wrangler dev`, as `npm start` runs it, on a port and with storage of its own; in another folder, its own. */
export async function wranglerDev(
  args: readonly string[] = [],
  port?: number,
  folder = PROJECT,
): Promise<Running & { url: string }> {
  const on = String(port ?? (await freePort()));
  const state = await mkdtemp(join(tmpdir(), "holdfast-dev-"));
  atEnd(() => rm(state, { recursive: true, force: true }));
  const wrangler = join(PROJECT, "node_modules/wrangler/bin/wrangler.js");
  const running = run(
    [wrangler, "dev", "--port", on, "--inspector-port", "0", "--persist-to", state, ...args],
    { CI: "true" },
    process.execPath,
    folder,
  );
  await running.printed(/Ready on/);
  return { ...running, url: `http://localhost:${on}` };
}
