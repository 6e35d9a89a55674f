/** Counts the cost of a stateless client's call that a session carries; the upstream is the demo server. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { afterEach, expect, it, vi } from "vitest";
import { DurableObjectHost } from "../../src/session/object-host.ts";
import type { SessionObject } from "../../src/session/session-object.ts";
import { requireSessionId } from "../../src/core/id.ts";
import { countWrites, objectOf } from "../support/object.ts";

afterEach(() => void vi.restoreAllMocks());

const { SESSIONS } = env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> };
const SUBJECT = "credential:x";
const MATCH = { type: "mcp", upstream: "default", era: "2026-07-28" } as const;

async function open() {
  const id = requireSessionId(crypto.randomUUID());
  const sessions = new DurableObjectHost(SESSIONS).as({ subject: SUBJECT, admin: false });
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "t", version: "1" },
  };
  const content = {
    type: "mcp",
    subject: SUBJECT,
    metadata: { upstream: "default", era: MATCH.era },
    ttlMs: 60_000,
    maxLifetimeMs: 600_000,
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params });
  const request = { upstream: "default", body, headers: {}, era: true } as const;
  expect((await sessions.initialize(id, content, request)).kind).toBe("initialized");
  const call = (
    name: string,
    args: object,
    method = "tools/call",
    capabilities: Record<string, object> = {},
  ) => {
    const up = JSON.stringify(crypto.randomUUID());
    const said = JSON.stringify({ name, arguments: args });
    return sessions.exchange(id, {
      match: MATCH,
      body: `{"jsonrpc":"2.0","id":${up},"method":"${method}","params":${said}}`,
      batch: false,
      pending: [up],
      cancels: [],
      initialize: false,
      headers: {},
      delivery: "own",
      era: { id: "7", method, name, capabilities, inputResponses: {}, slot: "" },
    });
  };
  return { id, call };
}

it("a quick call is one request to the object and at most one row, and a slow one stores nothing more", async () => {
  const { id, call } = await open();
  const writes = await countWrites(id);
  let calls = () => 0;
  await runInDurableObject(objectOf(id), (object) => {
    const prototype = Object.getPrototypeOf(object) as typeof object;
    const spies = (["exchange", "read", "fetch", "initialize"] as const).map((method) =>
      vi.spyOn(prototype, method),
    );
    calls = () => spies.reduce((sum, { mock }) => sum + mock.calls.length, 0);
  });
  const quick = await call("echo", { text: "hi" });
  if (quick.kind !== "json") throw new Error(quick.kind);
  expect(JSON.parse(quick.body)).toMatchObject({ id: 7, result: { resultType: "complete" } });
  expect([calls(), writes.alarms]).toEqual([1, 0]);
  expect(writes.rows).toBeLessThanOrEqual(1);
  const slow = await call("count", { steps: 2, seconds: 1 });
  if (slow.kind !== "flow") throw new Error(slow.kind);
  const text = await new Response(slow.body).text();
  expect(text).toContain('"resultType":"complete"');
  expect([calls(), writes.alarms]).toEqual([2, 0]);
  expect(writes.rows).toBeLessThanOrEqual(1);
  const discovered = await call("", {}, "server/discover");
  expect(discovered).toMatchObject({ kind: "json", status: 200 });
  expect([calls(), writes.rows <= 1]).toEqual([3, true]);
  // Nor does a client that can be asked pay more, where the server has not asked so far.
  const askable = await call("echo", { text: "hi" }, "tools/call", { elicitation: {} });
  expect([askable.kind, calls(), writes.alarms, writes.rows <= 1]).toEqual(["json", 4, 0, true]);
});
