/** The gateway as a process of its own, in front of upstreams of the tests' own. */
import { Service } from "../service.ts";
import { Fixture } from "./fixture.ts";
import { listen, type FetchHandler, type Listening } from "./http.ts";
import { atEnd } from "../scope.ts";

export interface Gateway {
  readonly service: Service;
  readonly url: string;
}

/** Starts the service with these upstreams; it ends with the test. */
export async function startGateway(
  upstreams: Record<string, unknown>,
  env: Record<string, string> = {},
): Promise<Gateway> {
  const service = await Service.start({ UPSTREAMS: JSON.stringify(upstreams), ...env });
  return { service, url: `${service.url}/mcp` };
}

/** Starts the service anew with other upstreams; the sessions that it has stay. */
export async function restartWith(
  service: Service,
  upstreams: Record<string, unknown>,
): Promise<void> {
  service.configure({ UPSTREAMS: JSON.stringify(upstreams) });
  await service.kill();
  await service.restart();
}

export async function startFixture(): Promise<Fixture> {
  const fixture = await Fixture.start();
  atEnd(() => fixture.stop());
  return fixture;
}

/** A fixture with a gateway in front of it, as its default upstream. */
export async function fixtureBehindGateway(
  env: Record<string, string> = {},
  through: (url: string) => Promise<string> = async (url) => url,
): Promise<Gateway & { readonly fixture: Fixture }> {
  const fixture = await startFixture();
  const gateway = await startGateway({ default: { url: await through(fixture.url) } }, env);
  return { ...gateway, fixture };
}

/** The URL of a server that is the one at `url`, but tells no event ids, so that none of its streams can be resumed. */
export async function withoutEventIds(url: string): Promise<string> {
  const { host } = new URL(url);
  const { url: own } = await startUpstream(async (request) => {
    const { method, signal } = request;
    const headers = new Headers(request.headers);
    headers.set("host", host);
    const body = method === "POST" ? await request.text() : undefined;
    const answer = await fetch(url, { method, headers, signal, ...(body && { body }) });
    const decoder = new TextDecoder();
    const encoder = new TextEncoder();
    const ids = new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        const text = decoder.decode(chunk, { stream: true });
        controller.enqueue(encoder.encode(text.replaceAll(/^id: .*\n/gm, "")));
      },
    });
    const kept = new Headers(answer.headers);
    for (const name of ["content-length", "content-encoding", "transfer-encoding"]) {
      kept.delete(name);
    }
    const { status } = answer;
    return new Response(answer.body?.pipeThrough(ids) ?? null, { status, headers: kept });
  });
  return own;
}

/** An upstream that answers as its test says. */
export async function startUpstream(handler: FetchHandler): Promise<Listening> {
  const listening = await listen(handler);
  atEnd(() => listening.close());
  return listening;
}

/** Initializes as any server does, and leaves the rest to `rest`. `sid` null: a server without sessions. */
export function answering(
  rest: (
    request: Request,
    body: { readonly id?: unknown; readonly method?: string },
  ) => Response | Promise<Response>,
  sid: string | null = "secret-upstream-sid",
): FetchHandler {
  return async (request) => {
    if (request.method !== "POST") return rest(request, {});
    const body = (await request.clone().json()) as { id?: unknown; method?: string };
    const headers: Record<string, string> = sid === null ? {} : { "mcp-session-id": sid };
    if (body.method === "initialize") {
      const result = {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "scripted", version: "1" },
      };
      return Response.json({ jsonrpc: "2.0", id: body.id, result }, { headers });
    }
    if (body.method?.startsWith("notifications/"))
      return new Response(null, { status: 202, headers });
    return rest(request, body);
  };
}
