/** A task's object is lost alone: the session of the bridge goes on with the call, and has the task come for the answer. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { requireSessionId } from "../../src/core/id.ts";
import { begun, letGo, sessionFetch } from "../support/mcp/bidden-server.ts";
import { kill, objectOf } from "../support/object.ts";

const META = "io.modelcontextprotocol/";

beforeEach(() => {
  const legacy = sessionFetch();
  vi.stubGlobal("fetch", (input: RequestInfo | URL, init?: RequestInit) =>
    legacy(new Request(input, init)),
  );
  const server = {
    url: "https://legacy.example/mcp",
    era: "legacy",
    tasks: { afterMs: 0 },
  };
  Object.assign(env, { UPSTREAMS: JSON.stringify({ default: server }) });
});
afterEach(() => void vi.unstubAllGlobals());

it("nobody asks for the task, and the server answers before the session can know", async () => {
  const id = requireSessionId(crypto.randomUUID());
  const meta = {
    [`${META}protocolVersion`]: "2026-07-28",
    [`${META}clientInfo`]: { name: "t", version: "1" },
    [`${META}clientCapabilities`]: { extensions: { [`${META}tasks`]: {} } },
  };
  const params = { name: "do", arguments: { label: "alone" }, _meta: meta };
  const made = await objectOf(id).task({ admin: true }, id, {
    kind: "call",
    upstream: "default",
    body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params }),
    id: "1",
    tool: "do",
    headers: {
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": "do",
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
    },
    owner: "p",
    principal: "p",
  });
  expect(made).toMatchObject({ ok: true });
  await expect.poll(() => begun.has("alone"), { timeout: 20_000 }).toBe(true);
  await kill(id);
  letGo("alone");
  // To look at the rows has the object do nothing.
  const told = () =>
    runInDurableObject(objectOf(id), (_object, { storage: { sql } }) =>
      sql.exec<{ data: string }>("SELECT data FROM events ORDER BY seq").toArray(),
    );
  await expect
    .poll(async () => (await told()).at(-1)?.data, { timeout: 20_000 })
    .toContain("did alone");
});
