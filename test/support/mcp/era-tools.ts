/**
 * One tool for each ability that the bridge of the eras must carry. A tool counts how often it takes
 * effect, by the tag of its call. A legacy server asks its client in requests, a modern one by input_required.
 */
import {
  inputRequired,
  inputResponse,
  type InputRequiredResult,
  type McpServer,
  type RequestStateCodec,
  type ServerContext,
} from "@modelcontextprotocol/server";
import * as z from "zod";
import type { Era } from "../../../src/gateway/eras/speaks.ts";
import { text } from "./fixture-basic.ts";

/** Counts what the tools of a server did, over all of its sessions. */
export class Effects {
  readonly #done = new Map<string, number>();
  readonly #watchers = new Set<() => void>();
  /** Tags of the calls that have begun and that were cancelled. */
  readonly begun = new Set<string>();
  readonly cancelled = new Set<string>();

  /** How often the call with this tag took effect. */
  of(tag: string): number {
    return this.#done.get(tag) ?? 0;
  }

  done(tag: string): void {
    this.#done.set(tag, this.of(tag) + 1);
  }

  begin(tag: string, signal: AbortSignal): void {
    this.begun.add(tag);
    signal.addEventListener("abort", () => {
      this.cancelled.add(tag);
      this.changed();
    });
    this.changed();
  }

  changed(): void {
    for (const watcher of this.#watchers) watcher();
  }

  /** Resolves when this holds. It is looked at after each change. */
  until(holds: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!holds()) return;
        this.#watchers.delete(look);
        resolve();
      };
      this.#watchers.add(look);
      look();
    });
  }
}

export interface ToolsOf {
  readonly era: Era;
  readonly effects: Effects;
  readonly codec: RequestStateCodec;
}

const TAGGED = z.object({ tag: z.string() });
const ASK_NAME = {
  type: "object" as const,
  properties: { name: { type: "string" as const } },
  required: ["name"],
};
const QUESTION = {
  messages: [{ role: "user" as const, content: { type: "text" as const, text: "Capital?" } }],
  maxTokens: 100,
};

export function registerEraTools(server: McpServer, of: ToolsOf): void {
  registerPlain(server, of.effects);
  if (of.era === "legacy") registerAsking(server, of.effects);
  else registerAskingByResult(server, of);
}

function registerPlain(server: McpServer, effects: Effects): void {
  const tool = (
    name: string,
    run: (tag: string, ctx: ServerContext) => Promise<ReturnType<typeof text>>,
  ) =>
    server.registerTool(name, { description: name, inputSchema: TAGGED }, ({ tag }, ctx) => {
      effects.begin(tag, ctx.mcpReq.signal);
      return run(tag, ctx);
    });
  tool("era_echo", async (tag) => {
    effects.done(tag);
    return text(tag);
  });
  tool("era_progress", async (tag, ctx) => {
    await report(ctx, [1, 2, 3]);
    effects.done(tag);
    return text(tag);
  });
  tool("era_wait", async (tag, ctx) => {
    const aborted = new Promise((resolve) => ctx.mcpReq.signal.addEventListener("abort", resolve));
    await report(ctx, [1]);
    await aborted;
    return text(tag);
  });
  tool("era_log", async (tag, ctx) => {
    await ctx.mcpReq.log("info", `${tag} info`);
    await ctx.mcpReq.log("error", `${tag} error`);
    effects.done(tag);
    return text(tag);
  });
  tool("era_fail", async (tag) => {
    throw new Error(`${tag} failed`);
  });
}

/** Tells how far the call is, where its client wants to know. */
async function report(ctx: ServerContext, steps: readonly number[]): Promise<void> {
  const progressToken = ctx.mcpReq._meta?.progressToken;
  if (progressToken === undefined) return;
  for (const progress of steps) {
    const params = { progressToken, progress, total: 3 };
    await ctx.mcpReq.notify({ method: "notifications/progress", params });
  }
}

/** In requests of the server's, most of them on the stream of the call. */
function registerAsking(server: McpServer, effects: Effects): void {
  const tool = (name: string, ask: (ctx: ServerContext, tag: string) => Promise<unknown>) =>
    server.registerTool(name, { description: name, inputSchema: TAGGED }, async ({ tag }, ctx) => {
      effects.begin(tag, ctx.mcpReq.signal);
      const said = await ask(ctx, tag);
      effects.done(tag);
      return text(JSON.stringify(said));
    });
  const elicit = async (ctx: ServerContext, message: string) => {
    const params = { message, requestedSchema: ASK_NAME };
    const answer = await ctx.mcpReq.send({ method: "elicitation/create", params });
    return [answer.action, answer.content?.["name"]];
  };
  // The SDK's own way: the question names no call, and goes to the session's standalone stream.
  tool("era_elicit_aside", async (ctx) => {
    const asked = { message: "aside", requestedSchema: ASK_NAME };
    const { action, content } = await ctx.mcpReq.elicitInput(asked);
    return [action, content?.["name"]];
  });
  tool("era_ask_aside", async (ctx, tag) => {
    const asked = { message: `aside ${tag}`, requestedSchema: ASK_NAME };
    const { action, content } = await ctx.mcpReq.elicitInput(asked);
    return [action, content?.["name"]];
  });
  // It does not notice that it is cancelled, as most tools do not, and asks when `late` takes effect.
  tool("era_ask_late", async (ctx, tag) => {
    await report(ctx, [1]);
    await effects.until(() => effects.of("late") > 0);
    return ctx.mcpReq.elicitInput({ message: `late ${tag}`, requestedSchema: ASK_NAME });
  });
  tool("era_elicit", (ctx) => elicit(ctx, "first"));
  tool("era_elicit_twice", async (ctx) => [
    await elicit(ctx, "first"),
    await elicit(ctx, "second"),
  ]);
  tool("era_sample", async (ctx) => (await ctx.mcpReq.requestSampling(QUESTION)).content);
  tool("era_roots", async (ctx) => {
    const { roots } = await ctx.mcpReq.send({ method: "roots/list" });
    return roots;
  });
}

/** By the call's result: the client calls again with the answers. */
function registerAskingByResult(server: McpServer, { effects, codec }: ToolsOf): void {
  const tool = (
    name: string,
    /** Gives the questions that the tool still has, or its last words. */
    ask: (ctx: ServerContext) => Promise<InputRequiredResult | { readonly said: unknown }>,
  ) =>
    server.registerTool(name, { description: name, inputSchema: TAGGED }, async ({ tag }, ctx) => {
      effects.begin(tag, ctx.mcpReq.signal);
      const asked = await ask(ctx);
      if (!("said" in asked)) return asked;
      effects.done(tag);
      return text(JSON.stringify(asked.said));
    });
  const elicit = (message: string) => inputRequired.elicit({ message, requestedSchema: ASK_NAME });
  const answered = (ctx: ServerContext) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, "question");
    return answer.kind === "elicit" ? [answer.action, answer.content?.["name"]] : undefined;
  };
  for (const [name, message] of [
    ["era_elicit", "first"],
    ["era_elicit_aside", "aside"],
  ] as const) {
    tool(name, async (ctx) => {
      const said = answered(ctx);
      return said ? { said } : inputRequired({ inputRequests: { question: elicit(message) } });
    });
  }
  tool("era_elicit_twice", async (ctx) => {
    const first = ctx.mcpReq.requestState<unknown[]>();
    const said = answered(ctx);
    if (first && said) return { said: [first, said] };
    if (!said) return inputRequired({ inputRequests: { question: elicit("first") } });
    return inputRequired({
      inputRequests: { question: elicit("second") },
      requestState: await codec.mint(said),
    });
  });
  tool("era_sample", async (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, "question");
    if (answer.kind === "sampling") return { said: answer.result.content };
    return inputRequired({ inputRequests: { question: inputRequired.createMessage(QUESTION) } });
  });
  tool("era_roots", async (ctx) => {
    const answer = inputResponse(ctx.mcpReq.inputResponses, "question");
    if (answer.kind === "roots") return { said: answer.roots };
    return inputRequired({ inputRequests: { question: inputRequired.listRoots() } });
  });
}
