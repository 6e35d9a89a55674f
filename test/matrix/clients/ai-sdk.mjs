import { drive, plan, url } from "./plan.mjs";

/** `module` is @ai-sdk/mcp of some version. It has no progress. */
export async function driveAiSdk(module) {
  const create = module.createMCPClient ?? module.experimental_createMCPClient;
  const type = plan.transport === "sse" ? "sse" : "http";
  const client = await create({ transport: { type, url } });
  const options = { toolCallId: "1", messages: [] };
  let tools;
  await drive({
    tools: async () => {
      tools = await client.tools();
      return Object.entries(tools).map(([name, { description }]) => ({ name, description }));
    },
    call: ({ name, arguments: args }) =>
      Promise.race([
        tools[name].execute(args, options),
        new Promise((_, fail) => setTimeout(() => fail(new Error("never resolved")), 10_000)),
      ]),
    close: () => client.close(),
  });
}
