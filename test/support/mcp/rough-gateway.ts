/** A rough server with a gateway in front of it; both end with the test. */
import { startGateway, type Gateway } from "./gateway.ts";
import { RoughServer, urlOf, type RoughOptions, type Script } from "./rough-server.ts";
import { freePort } from "../free-port.ts";
import { atEnd, shared } from "../scope.ts";

export async function startRough(script?: Script, options?: RoughOptions): Promise<RoughServer> {
  const server = await RoughServer.start(script, options);
  atEnd(() => server.stop());
  return server;
}

interface RoughGateway extends Gateway {
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

/** Upstreams of one shared gateway. */
const PLACES = 20;

/**
 * The same for a file whose tests look at the server alone: they share a gateway, in which each
 * test's server is an upstream of its own.
 *
 * @example
 * const roughUpstream = roughUpstreams();
 * it("is asked once", async () => {
 *   const { url, server } = await roughUpstream();
 *   await McpSession.open(url);
 *   expect(server.count("initialize")).toBe(1);
 * });
 */
export function roughUpstreams(): (
  script?: Script,
  options?: Omit<RoughOptions, "port">,
) => Promise<Omit<RoughGateway, "service">> {
  const start = shared(async (_nth: number) => {
    const ports = await Promise.all(Array.from({ length: PLACES }, freePort));
    const upstreams = ports.map((port) => [`rough-${port}`, { url: urlOf(port) }] as const);
    return { ports, gateway: await startGateway(Object.fromEntries(upstreams)) };
  });
  let taken = 0;
  return async (script, options) => {
    const place = taken++;
    const { ports, gateway } = await start(Math.floor(place / PLACES));
    const port = ports[place % PLACES]!;
    const server = await startRough(script, { ...options, port });
    return { server, url: `${gateway.url}/rough-${port}` };
  };
}
