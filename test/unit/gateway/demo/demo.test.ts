import { expect, it } from "vitest";
import { demoServer } from "../../../../src/gateway/demo/demo.ts";
import { responseOf } from "../../../support/mcp/answer.ts";

const ADDRESS = "https://demo.invalid/mcp";
const HEADERS = {
  accept: "application/json, text/event-stream",
  "content-type": "application/json",
};
const send = (message: object, headers: Record<string, string> = {}) =>
  demoServer().send(ADDRESS, {
    method: "POST",
    headers: { ...HEADERS, ...headers },
    body: JSON.stringify({ jsonrpc: "2.0", ...message }),
  });

it("waits longer for a silent tool than that may run", async () => {
  const listed = await responseOf(await send({ id: 1, method: "tools/list" })).text();
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

const CALL = { method: "tools/call", params: { name: "echo", arguments: { text: "hi" } } };
const SESSION_ERA = { "mcp-protocol-version": "2025-11-25" };
const ECHOED = { id: 1, result: { content: [{ text: "hi" }] } };

it("answers a quick call of a revision with sessions as JSON, whole", async () => {
  const _meta = { progressToken: 1 };
  for (const params of [CALL.params, { ...CALL.params, _meta }]) {
    const answer = await send({ id: 1, ...CALL, params }, SESSION_ERA);
    expect(JSON.parse(answer as string)).toMatchObject(ECHOED);
  }
});

it("leaves what may be of another revision to the SDK's own rules", async () => {
  const untold = await send({ id: 1, ...CALL });
  expect(untold).toBeInstanceOf(Response);
  expect(await responseOf(untold).text()).toContain('"hi"');
  const _meta = { "io.modelcontextprotocol/protocolVersion": "2026-07-28" };
  // Headers and body must say the same, which the handler checks.
  const claimed = await send({ id: 1, ...CALL, params: { ...CALL.params, _meta } }, SESSION_ERA);
  expect(claimed).toMatchObject({ status: 400 });
  const named = await send({ id: 1, ...CALL }, { ...SESSION_ERA, "mcp-method": "tools/call" });
  expect(named).toBeInstanceOf(Response);
  const modern = await send({ id: 1, ...CALL }, { "mcp-protocol-version": "2026-07-28" });
  expect(modern).toMatchObject({ status: 400 });
});

it("leaves what is no request to the SDK's own rules", async () => {
  for (const wrong of [
    { id: 1, ...CALL, params: 5 },
    { id: 1.5, ...CALL },
    { id: null, ...CALL },
  ])
    expect(await send(wrong, SESSION_ERA)).toMatchObject({ status: 400 });
});
