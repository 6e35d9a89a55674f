/**
 * Calls of clients of 2026-07-28 begin, ask, are left, are answered and are lost in any order, at a server that asks
 * on its standalone stream, and whose tools go on when they are cancelled: no call is asked another one's question.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { ExchangeAnswer } from "../../../../src/gateway/contract.ts";
import {
  Flow,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  withObjects,
  type Asked,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

type Step =
  | { readonly kind: "call" | "evict" }
  | { readonly kind: "ask" | "askOwn" | "answer" | "leave" | "result"; readonly which: number }
  | { readonly kind: "pass"; readonly ms: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("call" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("evict" as const) }) },
  {
    weight: 9,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "ask" as const,
        "ask" as const,
        "ask" as const,
        "askOwn" as const,
        "answer" as const,
        "answer" as const,
        "leave" as const,
        "result" as const,
      ),
      which: fc.nat(5),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("pass" as const), ms: fc.constantFrom(300, 6000) }),
  },
);

const CAPABILITIES = { elicitation: {} };
const INITIALIZE = rpc(0, "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: CAPABILITIES,
  clientInfo: { name: "by-hand", version: "1" },
});

/** A tool at work in the server, which a cancellation does not end. */
interface Tool {
  readonly name: string;
  readonly sid: string | undefined;
  readonly flow: Flow;
}

/** A call as its client sees it. */
interface Call {
  readonly name: string;
  /** The answer to its request that waits, while that is a stream that it reads. */
  leave: (() => void) | undefined;
  /** The questions to it, until it answers. */
  asked: { readonly requestState: string; readonly keys: readonly string[] } | undefined;
}

class Play {
  readonly #one: ObjectInNode;
  #tools: Tool[] = [];
  readonly #calls: Call[] = [];
  /** The standalone stream of each upstream session. */
  readonly #listened = new Map<string | undefined, Flow>();
  readonly #ended = new Set<string | undefined>();
  #sids = 1;
  #questions = 0;
  /** How many questions reached a call. */
  delivered = 0;
  readonly wrong: string[] = [];

  constructor() {
    this.#one = ObjectInNode.empty({ script: (asked) => this.#serve(asked) });
  }

  async open(): Promise<void> {
    await this.#one.initialize(INITIALIZE, { era: true });
  }

  #serve({ verb, method, id, sid }: Asked): Response | undefined {
    if (verb === "DELETE") {
      this.#ended.add(sid);
      this.#tools = this.#tools.filter((tool) => tool.sid !== sid);
      this.#one.upstreamSid = `upstream-${++this.#sids}`;
      return undefined;
    }
    if (this.#ended.has(sid)) return new Response(null, { status: 404 });
    if (verb !== "GET" && method !== "tools/call") return undefined;
    const flow = new Flow();
    if (verb === "GET") this.#listened.set(sid, flow);
    else this.#tools.push({ name: JSON.parse(id) as string, sid, flow });
    return flow.response;
  }

  /** Sends a call, or its answers. */
  #send(call: Call, more: { requestState?: string; inputResponses: Record<string, string> }): void {
    const { name } = call;
    const era = {
      id: JSON.stringify(name),
      method: "tools/call",
      name: "pay",
      capabilities: CAPABILITIES,
      slot: "",
      ...more,
    };
    const match = { type: "mcp", upstream: "default", era: "1" } as const;
    const body = more.requestState === undefined ? rpc(name, "tools/call", { name: "pay" }) : "";
    const pending = [JSON.stringify(`${name}-${this.#questions}`)];
    const answer = this.#one.post(body, { era, match, ...(body === "" && { pending }) });
    void answer.then(async (outcome) => {
      const { value } = outcome as { value: ExchangeAnswer };
      if (value.kind === "json") this.#heard(call, value.body);
      if (value.kind !== "flow") return;
      const reader = value.body.getReader();
      call.leave = () => void reader.cancel();
      let text = "";
      for (let part = await reader.read(); !part.done; part = await reader.read()) {
        text += new TextDecoder().decode(part.value);
      }
      call.leave = undefined;
      this.#heard(call, text);
    });
  }

  #heard(call: Call, text: string): void {
    const asked = /"inputRequests":(\{.*\}),"requestState":"([^"]*)"/.exec(text);
    if (!asked) return;
    const [, requests = "", requestState = ""] = asked;
    const all = JSON.parse(requests) as Record<string, { params: { message: string } }>;
    for (const { params } of Object.values(all)) {
      this.delivered++;
      if (params.message !== call.name) this.wrong.push(`${params.message} at ${call.name}`);
    }
    call.asked = { requestState, keys: Object.keys(all) };
  }

  #question({ name }: Tool): string {
    const params = { message: name, requestedSchema: { type: "object" } };
    return rpc(`q${++this.#questions}`, "elicitation/create", params);
  }

  async happen(one: Step): Promise<void> {
    const which = "which" in one ? one.which : 0;
    const tool = this.#tools[which % Math.max(1, this.#tools.length)];
    const call = this.#calls[which % Math.max(1, this.#calls.length)];
    switch (one.kind) {
      case "call": {
        const made = { name: `c${this.#calls.length}`, leave: undefined, asked: undefined };
        this.#calls.push(made);
        this.#send(made, { inputResponses: {} });
        break;
      }
      case "ask":
        if (tool) await this.#listened.get(tool.sid)?.say(this.#question(tool));
        break;
      case "askOwn":
        if (tool) await tool.flow.say(this.#question(tool));
        break;
      case "result":
        if (tool) await tool.flow.say(resultOf(JSON.stringify(tool.name)));
        this.#tools = this.#tools.filter((other) => other !== tool);
        break;
      case "answer": {
        const { asked } = call ?? {};
        if (!call || !asked) break;
        call.asked = undefined;
        const answers = asked.keys.map((key) => [key, '{"action":"accept"}']);
        const inputResponses = Object.fromEntries(answers) as Record<string, string>;
        this.#send(call, { requestState: asked.requestState, inputResponses });
        break;
      }
      case "leave":
        call?.leave?.();
        break;
      case "evict":
        // The streams of the last life are gone, so the object hears nothing on them.
        this.#listened.clear();
        this.#tools = this.#tools.map((lost) => ({ ...lost, flow: new Flow() }));
        for (const each of this.#calls) each.leave = undefined;
        await this.#one.evict();
        this.#one.wake();
        break;
      case "pass":
        await pass(one.ms);
        break;
    }
    await settle();
    // The server may ask several things at once, which is waited for.
    await pass(150);
  }
}

const plays = Number(process.env["QUESTION_RUNS"] ?? 300);

it("no call is asked a question of another one", async () => {
  let delivered = 0;
  const steps = fc.array(step, { minLength: 5, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const play = new Play();
      await play.open();
      // It has asked before, so that also a call that a crash ends is known to have run.
      for (const kind of ["call", "ask", "answer", "result"] as const) {
        await play.happen(kind === "call" ? { kind } : { kind, which: 0 });
      }
      for (const one of all) await play.happen(one);
      expect(play.wrong).toEqual([]);
      delivered += play.delivered - 1;
    }),
    { numRuns: plays },
  );
  expect(delivered).toBeGreaterThan(plays / 2);
}, 120_000);

it("nor while nobody knows that the server names no call, but for calls that a crash ends", async () => {
  const steps = fc.array(step, { minLength: 5, maxLength: 25 });
  await fc.assert(
    fc.asyncProperty(steps, async (all) => {
      const play = new Play();
      await play.open();
      for (const one of all) if (one.kind !== "evict") await play.happen(one);
      expect(play.wrong).toEqual([]);
    }),
    { numRuns: plays },
  );
}, 120_000);
