/** Starts a peer's server as a process, which ends with this one at the latest. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../../test/support/free-port.ts";
import type { Server } from "../servers.ts";

const START_TIMEOUT_MS = 15_000;

/** Starts a server on a free loopback port, and waits until it takes connections there. */
export async function startProcess(
  command: string,
  argsFor: (port: number) => readonly string[] | Promise<readonly string[]>,
): Promise<Server> {
  const port = await freePort();
  const args = await argsFor(port);
  const child = spawn(command, args, { stdio: ["ignore", "ignore", "pipe"] });
  const kill = () => child.kill("SIGKILL");
  // The process must end before its folder is deleted: it writes into the folder.
  process.prependOnceListener("exit", kill);
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2000);
  });
  const ended = once(child, "exit").then(
    () => `it ended with ${child.exitCode ?? child.signalCode}`,
    (failure: unknown) => String(failure),
  );
  const failure = await Promise.race([ended, listens(port)]);
  if (failure !== undefined) {
    kill();
    throw new Error(`${command} ${args.join(" ")} did not start: ${failure}\n${complaint}`);
  }
  return {
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    async stop() {
      kill();
      await ended;
      process.off("exit", kill);
    },
  };
}

/** Undefined as soon as something listens on the port; else a complaint. */
async function listens(port: number): Promise<string | undefined> {
  const until = Date.now() + START_TIMEOUT_MS;
  while (Date.now() < until) {
    const socket = connect(port, "127.0.0.1");
    const accepted = await once(socket, "connect").catch(() => undefined);
    socket.destroy();
    if (accepted) return undefined;
    await delay(50);
  }
  return `nothing listens on port ${port}`;
}
