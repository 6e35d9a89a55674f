/** The reference server of npm, `server-everything`, as a process of its own that ends with the test. */
import { REFERENCE, RunningServer } from "../../matrix/servers.ts";
import { freePort } from "../free-port.ts";
import { atEnd } from "../scope.ts";

export async function startEverything(kind = REFERENCE): Promise<RunningServer> {
  const server = new RunningServer(kind, await freePort());
  atEnd(() => server.kill());
  await server.start();
  return server;
}
