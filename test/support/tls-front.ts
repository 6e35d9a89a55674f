/** TLS fronts that choose their certificate by the name that a client sends (SNI), before plain servers. */
import { once } from "node:events";
import { connect, type AddressInfo } from "node:net";
import { createSecureContext, createServer, type TLSSocket } from "node:tls";
import type { Certificates } from "./certificates.ts";

export interface TlsFront {
  /** `name:port`. */
  readonly addr: string;
  readonly port: number;
  /** The name that each client asked for, in order; false: a client that named none. */
  readonly named: (string | false | null)[];
  /** The port of the loopback to which the front passes on what clients say. */
  target: number;
  close(): void;
}

/** Shows the certificate of `name` to a client that names it, and to any other one for another host. */
export async function startTlsFront(certificates: Certificates, name: string): Promise<TlsFront> {
  const own = createSecureContext(await certificates.of(name));
  const sockets = new Set<TLSSocket>();
  const server = createServer({
    ...(await certificates.of(`not-${name}`)),
    SNICallback: (asked, done) => done(null, asked === name ? own : undefined),
  });
  server.on("secureConnection", (client) => {
    sockets.add(client);
    front.named.push(client.servername);
    const upstream = connect(front.target, "127.0.0.1");
    client.pipe(upstream).pipe(client);
    for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
      socket.on("error", () => other.destroy());
      socket.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has such an address.
  const { port } = server.address() as AddressInfo;
  const front: TlsFront = {
    addr: `${name}:${port}`,
    port,
    named: [],
    target: 0,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return front;
}
