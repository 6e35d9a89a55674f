/** A connection that is cut at the very beginning of an answer, over real HTTP, by a relay. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import { expect, it, onTestFinished } from "vitest";
import { freshFetch } from "../../support/mcp/fresh-fetch.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { Relay } from "../../support/relay.ts";

const RECONNECT = {
  initialReconnectionDelay: 20,
  maxReconnectionDelay: 100,
  reconnectionDelayGrowFactor: 1,
  maxRetries: 50,
};

/** A client whose next call is cut right after what matches `at` in its answer. */
async function clientCutAt(at: RegExp) {
  const { url, service, fixture } = await fixtureBehindGateway();
  const relay = await Relay.to(service.port);
  const resumed: (string | null)[] = [];
  const through = new URL(url.replace(service.url, relay.url));
  const transport = new StreamableHTTPClientTransport(through, {
    reconnectionOptions: RECONNECT,
    fetch: async (target, init) => {
      const isCall = typeof init?.body === "string" && init.body.includes('"cut"');
      if (isCall) relay.cutAt = at;
      const lastEventId = new Headers(init?.headers).get("last-event-id");
      if (init?.method === "GET" && lastEventId !== null) resumed.push(lastEventId);
      return freshFetch(target, init).finally(() => {
        relay.cutAt = undefined;
      });
    },
  });
  const client = new Client({ name: "t", version: "1" });
  // The SDK's own transport misses its Transport type by an optional property (exactOptionalPropertyTypes).
  await client.connect(transport as Parameters<typeof client.connect>[0]);
  onTestFinished(() => client.close());
  const calls = () => fixture.requests.filter(({ body }) => body.includes('"cut"')).length;
  return { client, resumed, calls };
}

const slow = (tag: string) => ({ name: "slow", arguments: { ms: 600, tag } });

it("resumes a call that is cut right after the first event id, before any data", async () => {
  const { client, resumed, calls } = await clientCutAt(/\nid: [^\n]+\n(data: ?\n)?\n/);
  const result = await client.callTool(slow("cut"));
  expect(JSON.stringify(result)).toContain("slow cut");
  expect(resumed[0]).toMatch(/-\d{12}-\d+$/);
  expect(calls()).toBe(1);
});

it("cannot resume a call that is cut before the first event id: it ends with the client's own timeout, was made once, and the session goes on", async () => {
  const { client, resumed, calls } = await clientCutAt(/\r\n\r\n/);
  // There is nothing to name the answer by, and a second POST would be a second call.
  await expect(client.callTool(slow("cut"), undefined, { timeout: 1500 })).rejects.toThrow(
    "timed out",
  );
  expect(resumed).toEqual([]);
  await expect.poll(calls).toBe(1);
  expect(JSON.stringify(await client.callTool(slow("after")))).toContain("slow after");
  expect(calls()).toBe(1);
});
