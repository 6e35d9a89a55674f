import { expect, it } from "vitest";
import { CALL_SECONDS } from "../../../../src/config/upstreams.ts";
import { demoServer } from "../../../../src/gateway/demo/demo.ts";
import { responseOf } from "../../../support/mcp/answer.ts";

it("has no tool that runs for longer than a call may take", async () => {
  const answer = await demoServer().stateless({
    method: "POST",
    headers: {
      accept: "application/json, text/event-stream",
      "content-type": "application/json",
    },
    body: '{"jsonrpc":"2.0","id":1,"method":"tools/list"}',
  });
  const { result } = JSON.parse(/^data: (.*)$/m.exec(await responseOf(answer).text())![1]!) as {
    result: {
      tools: { name: string; inputSchema: { properties: { seconds?: { maximum: number } } } }[];
    };
  };
  const count = result.tools.find(({ name }) => name === "count");
  const longest = count!.inputSchema.properties.seconds!.maximum;
  expect(longest).toBeGreaterThan(0);
  expect(CALL_SECONDS).toBeGreaterThan(longest);
});
