/** The reference server of npm, `server-everything`, as a process of its own over Streamable HTTP. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { onTestFinished } from "vitest";
import { PROJECT } from "../../../scripts/bundle.ts";

export async function startEverything(): Promise<{ readonly url: string }> {
  const port = await freePort();
  const bin = join(PROJECT, "node_modules", ".bin", "mcp-server-everything");
  const child = spawn(bin, ["streamableHttp"], {
    env: { ...process.env, PORT: String(port) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  child.stdout.resume();
  const listening = new Promise<void>((resolve) => {
    createInterface({ input: child.stderr }).on("line", (line) => {
      if (line.includes("listening on port")) resolve();
    });
  });
  const failed = once(child, "exit").then(() => {
    throw new Error("server-everything ended before it listened");
  });
  await Promise.race([listening, failed]);
  return { url: `http://localhost:${port}/mcp` };
}

/** The server takes no port 0, so one is found for it. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}
