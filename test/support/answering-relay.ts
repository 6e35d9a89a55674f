import { connect, createServer, type Socket } from "node:net";
import { listenOnLoopback } from "./listen.ts";

/** Does with an answer what it likes; to write it to the client is to pass it on. */
export type Answering = (answer: Buffer, client: Socket) => void;

interface AnsweringRelay {
  readonly addr: string;
  /** How the relay treats each answer from now on. */
  answering: Answering;
  close(): void;
}

/** Passes on what clients say to a port of the loopback, and puts itself in the way of the answers. */
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
