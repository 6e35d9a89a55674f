import { connect, createServer, type Socket } from "node:net";
import { listenOnLoopback } from "./listen.ts";

/** Handles an answer of the server. Writing it to `client` passes it on. */
export type Answering = (answer: Buffer, client: Socket) => void;

interface AnsweringRelay {
  readonly addr: string;
  /** How the relay treats each answer from now on. */
  answering: Answering;
  close(): void;
}

/** A relay to a port of the loopback. It passes on what clients send; a test decides about the answers. */
export async function startAnsweringRelay(port: number): Promise<AnsweringRelay> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    client.on("data", (data) => upstream.write(data));
    upstream.on("data", (answer) => relay.answering(answer, client));
    for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
  });
  const relay: AnsweringRelay = {
    addr: `127.0.0.1:${await listenOnLoopback(server)}`,
    answering: (answer, client) => void client.write(answer),
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
  return relay;
}
