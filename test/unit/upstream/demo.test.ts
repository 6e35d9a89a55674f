import { expect, it } from "vitest";
import { demoServer } from "../../../src/upstream/demo.ts";

const ADDRESS = "https://demo.invalid/mcp";
const HEADERS = {
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
};
const send = (message: object) =>
  demoServer().send(ADDRESS, {
    method: "POST",
    headers: HEADERS,
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  });

it("waits longer for a silent tool than that may run", async () => {
  const listed = await (await send({ id: 1, method: "tools/list" })).text();
  const { result } = JSON.parse(/^data: (.*)$/m.exec(listed)![1]!) as {
    result: {
      tools: { name: string; inputSchema: { properties: { seconds?: { maximum: number } } } }[];
    };
  };
  const count = result.tools.find(({ name }) => name === "count");
  const longest = count!.inputSchema.properties.seconds!.maximum * 1000;
  expect(longest).toBeGreaterThan(0);
  expect(demoServer().timeoutMs).toBeGreaterThan(longest);
});

it("answers a quick call as JSON, and one of the stateless revision by the SDK's own rules", async () => {
  const call = { method: "tools/call", params: { name: "echo", arguments: { text: "hi" } } };
  const quick = await send({ id: 1, ...call });
  expect(quick.headers.get("content-type")).toBe("application/json");
  expect(await quick.json()).toMatchObject({ id: 1, result: { content: [{ text: "hi" }] } });
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  const stateless = await send({ id: 2, ...call, params: { ...call.params, _meta } });
  // Its headers must say the same as its body, which the handler checks.
  expect(stateless.status).toBe(400);
});
