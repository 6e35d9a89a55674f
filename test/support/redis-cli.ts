import { execFile } from "node:child_process";
import { promisify } from "node:util";
import type { RedisServer } from "./redis-server.ts";

const run = promisify(execFile);

/** Runs one command with redis-cli, as an operator would, and answers what it prints. */
export async function redisCli(
  server: Pick<RedisServer, "port">,
  ...args: string[]
): Promise<string> {
  const { stdout } = await run("redis-cli", [
    "-h",
    "127.0.0.1",
    "-p",
    String(server.port),
    ...args,
  ]);
  return stdout.replace(/\n$/, "");
}
