import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { redisCli } from "./redis-cli.ts";
import type { RedisServer } from "./redis-server.ts";

const DATA_COMMAND = /^(set|getex|get|mget|del|unlink|scan|keys|expire|pexpire|eval|exists)$/i;

/** The data commands that Redis itself saw while `act` ran, by MONITOR. Arguments must be ASCII. */
export async function monitor(
  server: Pick<RedisServer, "port">,
  act: () => Promise<unknown>,
): Promise<string[][]> {
  const watcher = spawn("redis-cli", ["-h", "127.0.0.1", "-p", String(server.port), "MONITOR"]);
  const lines = createInterface({ input: watcher.stdout });
  try {
    // The first line is OK: from here on nothing is missed.
    await once(lines, "line");
    const seen: string[][] = [];
    const end = crypto.randomUUID();
    const ended = new Promise<void>((resolve) => {
      lines.on("line", (line) => {
        if (line.includes(end)) resolve();
        // Redis quotes ASCII as JSON does.
        const words = line.match(/"(?:[^"\\]|\\.)*"/g) ?? [];
        seen.push(words.map((word) => JSON.parse(word) as string));
      });
    });
    await act();
    await redisCli(server, "ECHO", end);
    await ended;
    return seen.filter(([name = ""]) => DATA_COMMAND.test(name));
  } finally {
    watcher.kill();
  }
}
