/** The server under the session of a client of 2026-07-28 changes its era. */
import { expect, it } from "vitest";
import { ModernServer } from "../../support/mcp/era-modern-server.ts";
import { answering, startGateway } from "../../support/mcp/gateway.ts";
import { listen, type Listening } from "../../support/mcp/http.ts";
import { accepting, ModernClient, saidBy } from "../../support/mcp/modern-client.ts";
import { atEnd } from "../../support/scope.ts";

/** A server with sessions, which does not know those of another one. */
async function legacyOn(port: number): Promise<Listening> {
  const sid = crypto.randomUUID();
  const known = answering(async (_request, { id, method }) => {
    const result = method === "ping" ? {} : { content: [{ type: "text", text: "legacy" }] };
    return Response.json({ jsonrpc: "2.0", id, result });
  }, sid);
  const listening = await listen(async (request) => {
    const body = request.method === "POST" ? await request.clone().text() : "";
    if (body.includes('"initialize"') || request.headers.get("mcp-session-id") === sid) {
      return known(request);
    }
    const error = { code: -32000, message: "No valid session ID provided" };
    return Response.json({ jsonrpc: "2.0", id: null, error }, { status: 400 });
  }, port);
  atEnd(() => listening.close());
  return listening;
}

it("is asked, and answers, by the server that is there, whatever was remembered of the last one", async () => {
  const first = await legacyOn(0);
  const { url, service } = await startGateway({ default: { url: `${first.url}/mcp` } });
  const client = new ModernClient(url);
  const echo = async (tag: string) => saidBy(await client.call("echo", { tag }));
  const ask = async (tag: string) => {
    const asked = await client.call("ask", { tag, rounds: 1 });
    return saidBy(await client.call("ask", { tag, rounds: 1 }, accepting(asked)));
  };
  expect(await echo("a")).toBe("legacy");
  await first.close();
  const modern = await ModernServer.start(first.port);
  // The call that finds the change is carried by the session.
  expect(await echo("b")).toBe("b");
  // Another isolate remembers a server with sessions.
  await service.kill();
  await service.restart();
  expect(await ask("c")).toContain("Name 1?");
  const asked = modern.sent("server/discover").length;
  expect(await ask("d")).toContain("Name 1?");
  expect(modern.sent("server/discover")).toHaveLength(asked);
  expect(modern.done).toEqual(["b", "c", "d"]);
  await service.kill();
  await service.restart();
  expect(await ask("e")).toContain("Name 1?");
  await modern.stop();
  await legacyOn(first.port);
  expect(await echo("f")).toBe("legacy");
  expect(await echo("g")).toBe("legacy");
}, 60_000);
