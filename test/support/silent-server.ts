import { createServer, type Socket } from "node:net";
import { listenOnLoopback } from "./listen.ts";

interface SilentServer {
  readonly addr: string;
  close(): void;
}

/** A server that accepts connections, reads what comes, and never answers. */
export async function startSilentServer(): Promise<SilentServer> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.resume();
  });
  const port = await listenOnLoopback(server);
  return {
    addr: `127.0.0.1:${port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
