/** For the conformance scenarios of every revision: plain tools, resources, prompts and completion. */
import {
  completable,
  fromJsonSchema,
  type McpServer,
  ResourceTemplate,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";

const PIXEL =
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg==";
const SILENCE = "UklGRiQAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQAAAAA=";

const NOTHING = z.object({});

export function text(value: string) {
  return { content: [{ type: "text" as const, text: value }] };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

export function registerBasics(server: McpServer): void {
  registerContent(server);
  registerBehaviour(server);
  registerResources(server);
  registerPrompts(server);
}

function registerContent(server: McpServer): void {
  const tool = (name: string, content: () => Awaited<ReturnType<typeof build>>) =>
    server.registerTool(name, { description: name, inputSchema: NOTHING }, () => content());
  const build = async () => text("");
  const image = { type: "image" as const, data: PIXEL, mimeType: "image/png" };
  const as = (content: unknown[]) => ({ content }) as ReturnType<typeof text>;
  tool("test_simple_text", () => text("This is a simple text response for testing."));
  tool("test_image_content", () => as([image]));
  tool("test_audio_content", () => as([{ type: "audio", data: SILENCE, mimeType: "audio/wav" }]));
  tool("test_embedded_resource", () =>
    as([
      {
        type: "resource",
        resource: {
          uri: "test://embedded-resource",
          mimeType: "text/plain",
          text: "This is an embedded resource content.",
        },
      },
    ]),
  );
  tool("test_multiple_content_types", () =>
    as([
      { type: "text", text: "Multiple content types test:" },
      image,
      {
        type: "resource",
        resource: {
          uri: "test://mixed-content-resource",
          mimeType: "application/json",
          text: JSON.stringify({ test: "data", value: 123 }),
        },
      },
    ]),
  );
  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "Tool with JSON Schema 2020-12 features", inputSchema: fromJsonSchema(SCHEMA) },
    () => text("valid"),
  );
  server.registerTool(
    "test_header_param",
    {
      description: "A parameter that is mirrored in a header",
      inputSchema: fromJsonSchema<{ region: string }>({
        type: "object",
        // MCP's own annotation, which JSON Schema's types do not know.
        properties: { region: { type: "string", "x-mcp-header": "Region" } as object },
        required: ["region"],
      }),
    },
    ({ region }) => text(region),
  );
}

const SCHEMA = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  type: "object" as const,
  $defs: {
    address: {
      $anchor: "addressDef",
      type: "object",
      properties: { street: { type: "string" }, city: { type: "string" } },
    },
  },
  properties: {
    name: { type: "string" },
    address: { $ref: "#/$defs/address" },
    contactMethod: { type: "string", enum: ["phone", "email"] },
    phone: { type: "string" },
    email: { type: "string" },
  },
  allOf: [{ anyOf: [{ required: ["phone"] }, { required: ["email"] }] }],
  if: { properties: { contactMethod: { const: "phone" } }, required: ["contactMethod"] },
  // oxlint-disable-next-line unicorn/no-thenable -- JSON Schema's keyword
  then: { required: ["phone"] },
  else: { required: ["email"] },
  additionalProperties: false,
};

function registerBehaviour(server: McpServer): void {
  const tool = (name: string, run: (ctx: ServerContext) => Promise<ReturnType<typeof text>>) =>
    server.registerTool(name, { description: name, inputSchema: NOTHING }, (_args, ctx) =>
      run(ctx),
    );
  tool("test_tool_with_logging", async (ctx) => {
    await ctx.mcpReq.log("info", "Tool execution started");
    await pause(50);
    await ctx.mcpReq.log("info", "Tool processing data");
    await pause(50);
    await ctx.mcpReq.log("info", "Tool execution completed");
    return text("logged");
  });
  tool("test_logging_tool", async (ctx) => {
    await ctx.mcpReq.log("info", "a log line");
    return text("logged");
  });
  tool("test_error_handling", async () => {
    throw new Error("This tool intentionally returns an error for testing");
  });
  tool("test_tool_with_progress", async (ctx) => {
    const progressToken = ctx.mcpReq._meta?.progressToken;
    for (const progress of [0, 50, 100]) {
      if (progress > 0) await pause(50);
      if (progressToken === undefined) continue;
      const params = { progressToken, progress, total: 100 };
      await ctx.mcpReq.notify({ method: "notifications/progress", params });
    }
    return text("done");
  });
}

/** For the scenario of a server that closes its stream itself: the session era alone can take it up again. */
export function registerReconnection(server: McpServer): void {
  server.registerTool(
    "test_reconnection",
    { description: "Closes its stream in the middle of the call", inputSchema: NOTHING },
    async (_args, ctx) => {
      ctx.http?.closeSSE?.();
      await pause(150);
      return text("answered after a reconnection");
    },
  );
}

function registerResources(server: McpServer): void {
  const plain = { description: "A resource for testing", mimeType: "text/plain" };
  server.registerResource("static-text", "test://static-text", plain, (uri) => ({
    contents: [
      {
        uri: uri.href,
        mimeType: "text/plain",
        text: "This is the content of the static text resource.",
      },
    ],
  }));
  server.registerResource(
    "static-binary",
    "test://static-binary",
    { description: "A pixel", mimeType: "image/png" },
    (uri) => ({ contents: [{ uri: uri.href, mimeType: "image/png", blob: PIXEL }] }),
  );
  server.registerResource("watched", "test://watched-resource", plain, (uri) => ({
    contents: [{ uri: uri.href, mimeType: "text/plain", text: "watched" }],
  }));
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { description: "A template for testing", mimeType: "application/json" },
    (uri, { id }) => ({
      contents: [
        {
          uri: uri.href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` }),
        },
      ],
    }),
  );
}

function registerPrompts(server: McpServer): void {
  const said = (content: unknown) => ({ role: "user" as const, content }) as never;
  server.registerPrompt("test_simple_prompt", { description: "Simple" }, () => ({
    messages: [said({ type: "text", text: "This is a simple prompt for testing." })],
  }));
  const word = completable(z.string(), (value) =>
    ["paris", "park", "party"].filter((one) => one.startsWith(value)),
  );
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "Arguments", argsSchema: z.object({ arg1: word, arg2: z.string() }) },
    ({ arg1, arg2 }) => ({
      messages: [
        said({ type: "text", text: `Prompt with arguments: arg1='${arg1}', arg2='${arg2}'` }),
      ],
    }),
  );
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "Resource", argsSchema: z.object({ resourceUri: z.string() }) },
    ({ resourceUri: uri }) => ({
      messages: [
        said({
          type: "resource",
          resource: { uri, mimeType: "text/plain", text: "Embedded resource content for testing." },
        }),
        said({ type: "text", text: "Please process the embedded resource above." }),
      ],
    }),
  );
  server.registerPrompt("test_prompt_with_image", { description: "Image" }, () => ({
    messages: [
      said({ type: "image", data: PIXEL, mimeType: "image/png" }),
      said({ type: "text", text: "Please analyze the image above." }),
    ],
  }));
}
