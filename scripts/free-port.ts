/** Tries before workerd starts whether the service can listen on its address: workerd says it in its own words. */
import { once } from "node:events";
import { createServer } from "node:net";
import { ConfigError } from "../src/config/env.ts";

/** Throws a ConfigError that names the variable if nothing can listen on that address and port. */
export async function requireFreePort(host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    await once(server.listen(port, host), "listening");
  } catch (cause) {
    throw new ConfigError(whyNot(cause as NodeJS.ErrnoException, host, port), { cause });
  }
  await once(server.close(), "close");
}

function whyNot({ code, message }: NodeJS.ErrnoException, host: string, port: number): string {
  switch (code) {
    case "EADDRINUSE":
      return `PORT=${port} is taken: another program listens there (HOST=${host})`;
    case "EACCES":
      return `PORT=${port} is reserved: this user may listen on 1024 and above`;
    case "EADDRNOTAVAIL":
    case "EINVAL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `HOST=${host} is no address of this machine`;
    default:
      return `HOST=${host} PORT=${port} cannot be used: ${message}`;
  }
}
