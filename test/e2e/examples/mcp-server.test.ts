/** examples/mcp-server from the packed tarball, with the official client. */
import { join } from "node:path";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { expect, it, onTestFinished } from "vitest";
import { wranglerDev } from "../../support/command.ts";
import { checkTypes, exampleAlone } from "../../support/packed.ts";

it(
  "counts, tells of each change, asks before it resets, and wakes by itself",
  { timeout: 2 * 60_000 },
  async () => {
    const folder = await exampleAlone("mcp-server");
    const [{ url }] = await Promise.all([
      wranglerDev(["--config", join(folder, "wrangler.toml")]),
      checkTypes(folder),
    ]);
    const client = new Client({ name: "t", version: "1" }, { capabilities: { elicitation: {} } });
    const asked: string[] = [];
    client.setRequestHandler("elicitation/create", ({ params }) => {
      asked.push(params.message);
      return { action: asked.length > 1 ? "accept" : "decline" };
    });
    const updated: string[] = [];
    client.setNotificationHandler(
      "notifications/resources/updated",
      ({ params }) => void updated.push(params.uri),
    );
    const updates = (times: number) =>
      expect.poll(() => updated).toEqual(Array.from({ length: times }, () => "counter://value"));
    const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`));
    await client.connect(transport);
    onTestFinished(() => client.close());
    const call = async (name: string, args: Record<string, unknown> = {}) => {
      const { content } = await client.callTool({ name, arguments: args });
      return (content as { text: string }[])[0]?.text;
    };
    await client.subscribeResource({ uri: "counter://value" });
    expect(await call("add", { by: 5 })).toBe("The counter is at 5.");
    await updates(1);
    expect(await call("reset")).toBe("The counter stays.");
    expect(await call("reset")).toBe("The counter is at 0.");
    expect(asked).toEqual(Array.from({ length: 2 }, () => "Set the counter from 5 to 0?"));
    // Before the next change: an update says that there is one, and not which.
    await updates(2);
    await call("add_later", { seconds: 1 });
    await updates(3);
    const { contents } = await client.readResource({ uri: "counter://value" });
    expect(contents).toMatchObject([{ text: "1" }]);
    const events = await fetch(`${url}/v1/sessions/${transport.sessionId}/events`, {
      headers: { accept: "application/json" },
    });
    expect(await events.json()).toMatchObject({
      events: ["5", "0", "1"].map((data) => ({ event: "value", data })),
    });
  },
);
