/** Proxies that do not know HELLO, and say so each in its own way, before a real Redis. */
import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";

export interface RefusingProxy {
  readonly port: number;
  readonly addr: string;
  close(): void;
}

/**
 * Answers a command by itself with an error, as a line without its `-`, or with `hang up`.
 * Undefined: the command goes to Redis.
 */
export type Refuse = (command: string, args: readonly string[]) => string | undefined;

export const HANG_UP = "hang up";

/** Clients must wait for each answer before they send the next command, as a handshake does. */
export async function startRefusingProxy(port: number, refuse: Refuse): Promise<RefusingProxy> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1");
    let unread = "";
    client.on("data", (data) => {
      unread += data.toString("latin1");
      for (let end = endOfCommand(unread); end > 0; end = endOfCommand(unread)) {
        const text = unread.slice(0, end);
        unread = unread.slice(end);
        const [command = "", ...args] = wordsOf(text);
        const refusal = refuse(command.toUpperCase(), args);
        if (refusal === HANG_UP) client.destroy();
        else if (refusal !== undefined) client.write(`-${refusal}\r\n`);
        else upstream.write(text, "latin1");
      }
    });
    upstream.on("data", (answer) => client.write(answer));
    for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => other.destroy());
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  // A server that listens on TCP has such an address.
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    addr: `127.0.0.1:${address.port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

/** Where the first command ends; 0 while it has not come whole. */
function endOfCommand(text: string): number {
  const head = /^\*(\d+)\r\n/.exec(text);
  if (!head) return 0;
  let at = head[0].length;
  for (let words = Number(head[1]); words > 0; words--) {
    const size = /^\$(\d+)\r\n/.exec(text.slice(at, at + 20));
    if (!size) return 0;
    at += size[0].length + Number(size[1]) + 2;
  }
  return at <= text.length ? at : 0;
}

/** The words of a whole command, none of which holds a line break. */
function wordsOf(text: string): string[] {
  return text.split("\r\n").filter((_, line) => line > 0 && line % 2 === 0);
}
