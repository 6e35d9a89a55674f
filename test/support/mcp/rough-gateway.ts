/** A rough server with a gateway in front of it; both end with the test. */
import { startGateway, type Gateway } from "./gateway.ts";
import { RoughServer, type RoughOptions, type Script } from "./rough-server.ts";
import { atEnd } from "../scope.ts";

export async function startRough(script?: Script, options?: RoughOptions): Promise<RoughServer> {
  const server = await RoughServer.start(script, options);
  atEnd(() => server.stop());
  return server;
}

export interface RoughGateway extends Gateway {
  readonly server: RoughServer;
}

export async function roughBehindGateway(
  script?: Script,
  options?: RoughOptions & { readonly upstream?: object; readonly env?: Record<string, string> },
): Promise<RoughGateway> {
  const server = await startRough(script, options);
  const upstream = { url: server.url, ...options?.upstream };
  return { server, ...(await startGateway({ default: upstream }, options?.env)) };
}
