/** The reference server of npm, `server-everything`, as a process of its own over Streamable HTTP. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PROJECT } from "../../../scripts/bundle.ts";
import { freePort } from "../free-port.ts";
import { atEnd } from "../scope.ts";

export interface Everything {
  readonly url: string;
  /** Ends it and starts another in its place, which knows none of its sessions. */
  restart(): Promise<void>;
}

export async function startEverything(): Promise<Everything> {
  const port = await freePort();
  let child = await launch(port);
  return {
    url: `http://localhost:${port}/mcp`,
    async restart() {
      child.kill("SIGKILL");
      await once(child, "exit");
      child = await launch(port);
    },
  };
}

async function launch(port: number): Promise<ChildProcess> {
  const bin = join(PROJECT, "node_modules", ".bin", "mcp-server-everything");
  const child = spawn(bin, ["streamableHttp"], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  atEnd(() => void child.kill("SIGKILL"));
  child.stdout.resume();
  const listening = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.includes("listening on port")) resolve();
    });
  });
  const failed = once(child, "exit").then(() => {
    throw new Error("server-everything ended before it listened");
  });
  // Once it listens, its end is somebody else's concern.
  failed.catch(() => undefined);
  await Promise.race([listening, failed]);
  return child;
}
