/** A Worker of its own with an MCP server in it that keeps sessions, for a service binding to reach. */
import { demoServer } from "../../../src/gateway/demo/demo.ts";
import { responseOf } from "./answer.ts";

const server = demoServer();
const sessions = new Set<string>();
const HEADER = "mcp-session-id";

/** Asked to, it forgets every session, as a server that restarts does. */
async function serve(request: Request): Promise<Response> {
  const known = request.headers.get(HEADER);
  if (request.method === "DELETE" && known !== null) {
    return new Response(null, { status: sessions.delete(known) ? 204 : 404 });
  }
  if (known !== null && !sessions.has(known)) return new Response(null, { status: 404 });
  const { method, params } = (await request.clone().json()) as {
    method: string;
    params?: { name?: string; arguments?: { text?: string } };
  };
  if (params?.arguments?.text === "forget all sessions") sessions.clear();
  const answer = await server.stateless({
    method: request.method,
    headers: Object.fromEntries(request.headers),
    body: await request.text(),
  });
  const response = responseOf(answer);
  if (method !== "initialize") return response;
  const made = `bound-${crypto.randomUUID()}`;
  sessions.add(made);
  return new Response(response.body, {
    status: response.status,
    headers: { ...Object.fromEntries(response.headers), [HEADER]: made },
  });
}

export default { fetch: serve };
