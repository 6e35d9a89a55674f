/** Tools that ask the client: server-to-client requests of the session era, and input_required of 2026-07-28. */
import {
  acceptedContent,
  inputRequired,
  inputResponse,
  type McpServer,
  type RequestStateCodec,
  type ToolCallback,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import { text } from "./fixture-basic.ts";

const NOTHING = z.object({});

const ASK_NAME = {
  type: "object" as const,
  properties: { name: { type: "string" as const } },
  required: ["name"],
};

/** Requests from server to client, while a call of the client's runs. */
export function registerSessionEra(server: McpServer): void {
  server.registerTool(
    "test_sampling",
    { description: "Asks the client's model", inputSchema: z.object({ prompt: z.string() }) },
    async ({ prompt }, ctx) => {
      const result = await ctx.mcpReq.requestSampling({
        messages: [{ role: "user", content: { type: "text", text: prompt } }],
        maxTokens: 100,
      });
      return text(`LLM response: ${JSON.stringify(result.content)}`);
    },
  );
  server.registerTool(
    "test_elicitation",
    { description: "Asks the user", inputSchema: z.object({ message: z.string() }) },
    async ({ message }, ctx) => {
      const { action, content } = await ctx.mcpReq.elicitInput({
        message,
        requestedSchema: {
          type: "object",
          properties: {
            username: { type: "string", description: "User's response" },
            email: { type: "string", description: "User's email address" },
          },
          required: ["username", "email"],
        },
      });
      return text(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
    },
  );
  for (const [name, properties] of Object.entries(FORMS)) {
    server.registerTool(name, { description: name, inputSchema: NOTHING }, async (_args, ctx) => {
      const { action, content } = await ctx.mcpReq.elicitInput({
        message: "Please fill in the form",
        // The SDK's types do not know every form that the specification allows.
        requestedSchema: { type: "object", properties: properties as never, required: [] },
      });
      const said = JSON.stringify(content ?? {});
      return text(`Elicitation completed: action=${action}, content=${said}`);
    });
  }
}

/** The tools of `registerSessionEra`, as a server of 2026-07-28 asks: the client calls again with the answer. */
export function registerModernAsking(server: McpServer): void {
  const FIELD = { type: "string" as const };
  server.registerTool(
    "test_sampling",
    { description: "Asks the client's model", inputSchema: z.object({ prompt: z.string() }) },
    ({ prompt }, ctx) => {
      const answer = inputResponse(ctx.mcpReq.inputResponses, "question");
      if (answer.kind !== "sampling") {
        return inputRequired({ inputRequests: { question: sampling(prompt, 100) } });
      }
      return text(`LLM response: ${JSON.stringify(answer.result.content)}`);
    },
  );
  const form = (
    name: string,
    said: string,
    message: (args: { message?: string | undefined }) => string,
    properties: object,
    required: string[],
  ) =>
    server.registerTool(
      name,
      { description: name, inputSchema: z.object({ message: z.string().optional() }) },
      (args, ctx) => {
        const answer = inputResponse(ctx.mcpReq.inputResponses, "form");
        if (answer.kind === "elicit") {
          const { action, content } = answer;
          return text(`${said}: action=${action}, content=${JSON.stringify(content ?? {})}`);
        }
        // The SDK's types do not know every form that the specification allows.
        const requestedSchema = {
          type: "object",
          properties: properties as never,
          required,
        } as const;
        const asked = inputRequired.elicit({ message: message(args), requestedSchema });
        return inputRequired({ inputRequests: { form: asked } });
      },
    );
  form(
    "test_elicitation",
    "User response",
    ({ message = "" }) => message,
    { username: FIELD, email: FIELD },
    ["username", "email"],
  );
  for (const [name, properties] of Object.entries(FORMS)) {
    form(name, "Elicitation completed", () => "Please fill in the form", properties, []);
  }
}

const FORMS = {
  test_elicitation_sep1034_defaults: {
    name: { type: "string", default: "John Doe" },
    age: { type: "integer", default: 30 },
    score: { type: "number", default: 95.5 },
    status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
    verified: { type: "boolean", default: true },
  },
  test_elicitation_sep1330_enums: {
    untitledSingle: { type: "string", enum: ["option1", "option2", "option3"] },
    titledSingle: {
      type: "string",
      oneOf: [
        { const: "value1", title: "First Option" },
        { const: "value2", title: "Second Option" },
        { const: "value3", title: "Third Option" },
      ],
    },
    legacyEnum: {
      type: "string",
      enum: ["opt1", "opt2", "opt3"],
      enumNames: ["Option One", "Option Two", "Option Three"],
    },
    untitledMulti: {
      type: "array",
      items: { type: "string", enum: ["option1", "option2", "option3"] },
    },
    titledMulti: {
      type: "array",
      items: {
        anyOf: [
          { const: "value1", title: "First Choice" },
          { const: "value2", title: "Second Choice" },
          { const: "value3", title: "Third Choice" },
        ],
      },
    },
  },
};

const sampling = (prompt: string, maxTokens: number) =>
  inputRequired.createMessage({
    messages: [{ role: "user", content: { type: "text", text: prompt } }],
    maxTokens,
  });

/** Rounds of input_required. */
export function registerInputRequired(server: McpServer, codec: RequestStateCodec): void {
  const name = "test_input_required_result_";
  const tool = (suffix: string, run: ToolCallback<typeof NOTHING>) =>
    server.registerTool(name + suffix, { description: suffix, inputSchema: NOTHING }, run);
  const askName = () =>
    inputRequired.elicit({ message: "What is your name?", requestedSchema: ASK_NAME });

  tool("elicitation", (_args, ctx) => {
    const answer = acceptedContent<{ name?: unknown }>(ctx.mcpReq.inputResponses, "user_name");
    if (typeof answer?.name === "string") return text(`Hello, ${answer.name}!`);
    return inputRequired({ inputRequests: { user_name: askName() } });
  });
  tool("sampling", (_args, ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, "capital_question");
    if (answer.kind === "sampling") return text(JSON.stringify(answer.result.content));
    const question = sampling("What is the capital of France?", 100);
    return inputRequired({ inputRequests: { capital_question: question } });
  });
  tool("list_roots", (_args, ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, "client_roots");
    if (answer.kind === "roots") return text(JSON.stringify(answer.roots));
    return inputRequired({ inputRequests: { client_roots: inputRequired.listRoots() } });
  });
  tool("request_state", async (_args, ctx) => {
    if (ctx.mcpReq.requestState<string>() === "confirming") return text("state-ok");
    return inputRequired({
      inputRequests: {
        confirm: inputRequired.elicit({
          message: "Please confirm",
          requestedSchema: {
            type: "object",
            properties: { ok: { type: "boolean" } },
            required: ["ok"],
          },
        }),
      },
      requestState: await codec.mint("confirming"),
    });
  });
  tool("tampered_state", async (_args, ctx) => {
    if (ctx.mcpReq.requestState<string>() === "sealed") return text("state-ok");
    return inputRequired({
      inputRequests: { confirm: askName() },
      requestState: await codec.mint("sealed"),
    });
  });
  tool("multiple_inputs", async (_args, ctx) => {
    const answers = ctx.mcpReq.inputResponses ?? {};
    if ("user_name" in answers && "greeting" in answers && "client_roots" in answers) {
      return text("all there");
    }
    return inputRequired({
      inputRequests: {
        user_name: askName(),
        greeting: sampling("Generate a greeting", 50),
        client_roots: inputRequired.listRoots(),
      },
      requestState: await codec.mint("multiple"),
    });
  });
  tool("multi_round", async (_args, ctx) => {
    const round = ctx.mcpReq.requestState<number>() ?? 0;
    if (round === 2) return text("done");
    const asked =
      round === 0
        ? {
            step1: inputRequired.elicit({
              message: "Step 1: What is your name?",
              requestedSchema: ASK_NAME,
            }),
          }
        : {
            step2: inputRequired.elicit({
              message: "Step 2: What is your favorite color?",
              requestedSchema: {
                type: "object",
                properties: { color: { type: "string" } },
                required: ["color"],
              },
            }),
          };
    return inputRequired({ inputRequests: asked, requestState: await codec.mint(round + 1) });
  });
  tool("capabilities", (_args, ctx) => {
    if (Object.keys(ctx.mcpReq.inputResponses ?? {}).length > 0) return text("done");
    const declared =
      capabilitiesOf(ctx.mcpReq.envelope) ?? server.server.getClientCapabilities() ?? {};
    return inputRequired({
      inputRequests: {
        ...(declared.sampling !== undefined && {
          greeting: sampling("Generate a greeting", 50),
        }),
        ...(declared.elicitation !== undefined && { user_name: askName() }),
      },
    });
  });
  server.registerPrompt(`${name}prompt`, { description: "Asks for its context" }, (ctx) => {
    const answer = acceptedContent<{ context: string }>(ctx.mcpReq.inputResponses, "user_context");
    if (answer) {
      return { messages: [{ role: "user", content: { type: "text", text: answer.context } }] };
    }
    return inputRequired({
      inputRequests: {
        user_context: inputRequired.elicit({
          message: "What context should the prompt use?",
          requestedSchema: {
            type: "object",
            properties: { context: { type: "string" } },
            required: ["context"],
          },
        }),
      },
    });
  });
  server.registerTool(
    "test_missing_capability",
    { description: "Needs sampling", inputSchema: NOTHING },
    // The SDK itself refuses to ask for what the client did not declare.
    () => inputRequired({ inputRequests: { needed: sampling("Anything", 10) } }),
  );
  server.registerTool(
    "test_streaming_elicitation",
    { description: "Asks in the middle", inputSchema: NOTHING },
    (_args, ctx) => {
      if (inputResponse(ctx.mcpReq.inputResponses, "user_name").kind !== "missing") {
        return text("asked");
      }
      return inputRequired({ inputRequests: { user_name: askName() } });
    },
  );
}

/** The capabilities that a request of 2026-07-28 declares; one of the session era has no envelope. */
function capabilitiesOf(
  envelope: object | undefined,
): { readonly sampling?: unknown; readonly elicitation?: unknown } | undefined {
  const declared: unknown = (envelope as Record<string, unknown> | undefined)?.[
    "io.modelcontextprotocol/clientCapabilities"
  ];
  return declared as ReturnType<typeof capabilitiesOf>;
}
