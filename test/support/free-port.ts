/**
 * Ports for servers that must know theirs before they listen, or listen on it again
 * after they died. A port from the system (port 0) does not do for these: as soon as it is
 * free, the system gives it to another process, perhaps to a client that connects.
 */
import { createServer } from "node:net";

/** Below the range that the system gives, and with room for a Cluster's bus at port + 10000. */
const FIRST_PORT = 12_000;
const CLUSTER_BUS_OFFSET = 10_000;
/** Test processes that run at the same time take from ranges of their own, as far as there are. */
const RANGES = 8;
const PORTS_IN_RANGE = 1000;

const first = FIRST_PORT + (Number(process.env["VITEST_POOL_ID"] ?? 0) % RANGES) * PORTS_IN_RANGE;
const given = new Set<number>();

/** A port that is free, as is the one for a Cluster's bus above it. This process gives it once. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const port = first + Math.floor(Math.random() * PORTS_IN_RANGE);
    if (given.has(port)) continue;
    // Before it is tried: another caller may draw the same one meanwhile.
    given.add(port);
    if (!(await isFree(port)) || !(await isFree(port + CLUSTER_BUS_OFFSET))) continue;
    return port;
  }
  throw new Error("no free port");
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
