/** A server of a test's own on the loopback, at a port that the system gives. */
import { once } from "node:events";
import type { AddressInfo, Server } from "node:net";

/** Listens, and returns the port. `port` 0 takes any that is free. The caller closes the server. */
export async function listenOnLoopback(server: Server, port = 0): Promise<number> {
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has such an address.
  return (server.address() as AddressInfo).port;
}
