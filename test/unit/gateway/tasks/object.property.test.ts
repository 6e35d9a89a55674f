/**
 * Anything may happen to a task's object in any order, also that its client is cut off, or that it leaves memory: no
 * call is sent twice, the task ends once, with the outcome that the upstream gave, and it does not stay at work.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import type { TaskAnswer, TaskAsk } from "../../../../src/gateway/tasks/contract.ts";
import {
  Flow,
  json,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  withObjects,
  type Asked,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

type Said = "progress" | "ask" | "result" | "error" | "breakOff";
type Step =
  | { readonly kind: "say"; readonly what: Said }
  | { readonly kind: "get" | "cancel" | "evict" | "cut" }
  | { readonly kind: "update"; readonly isWhole: boolean }
  | { readonly kind: "pass"; readonly ms: number };

const AFTER_MS = 1000;
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("say" as const),
      what: fc.constantFrom<Said>(
        "progress",
        "progress",
        "ask",
        "ask",
        "result",
        "error",
        "breakOff",
      ),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom("get" as const, "get" as const, "cancel" as const, "cut" as const),
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("evict" as const) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("update" as const), isWhole: fc.boolean() }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("pass" as const),
      ms: fc.constantFrom(AFTER_MS, 6000, 100_000),
    }),
  },
);

interface Shown {
  readonly status: string;
  readonly inputRequests?: Readonly<Record<string, unknown>>;
  readonly result?: { readonly n: number };
  readonly error?: { readonly code: number };
}

const ENDED = ["completed", "failed", "cancelled"];
const CALLER = { admin: true };
const CALL = rpc("c", "tools/call", { name: "pay", arguments: {}, _meta: { progressToken: "p" } });

/** A task's object, its upstream and its client. */
class Play {
  /** The stream that this life of the object reads; undefined where there is none. */
  #flow: Flow | undefined;
  readonly one: ObjectInNode;
  readonly #hasIds: boolean;
  #events = 0;
  /** The outcomes that the upstream has given, to whoever listened. */
  readonly #given = new Set<string>();
  /** The task as it was first seen to have ended. */
  #end: string | undefined;
  #isMade = false;
  /** Rounds of questions that the client has answered. */
  #rounds = 0;
  #body: ReadableStream<Uint8Array> | undefined;

  constructor(hasIds: boolean) {
    this.#hasIds = hasIds;
    const script = ({ verb, method, id }: Asked) => {
      if (method === "server/discover") return json(resultOf(id, '"capabilities":{}'));
      if (verb !== "GET" && method !== "tools/call") return undefined;
      this.#flow = new Flow();
      return this.#flow.response;
    };
    const tasks = { afterMs: AFTER_MS };
    this.one = ObjectInNode.empty({ script, upstream: { era: "modern", tasks } });
    void this.#ask({
      kind: "call",
      upstream: "default",
      body: CALL,
      id: '"c"',
      tool: "pay",
      headers: {},
    }).then((answer) => {
      if (answer?.kind === "stream") this.#body = answer.body;
    });
  }

  async #ask(ask: TaskAsk): Promise<TaskAnswer | undefined> {
    const outcome = await this.one.object.task(CALLER, this.one.id, ask);
    return outcome.ok ? outcome.value : undefined;
  }

  /** The task; undefined while the call is none, or where it never becomes one. */
  async get(): Promise<Shown | undefined> {
    const answer = await this.#ask({ kind: "get", upstream: "default" });
    await settle();
    if (answer?.kind !== "task") return void expect(this.#isMade).toBe(false);
    this.#isMade = true;
    const shown = JSON.parse(answer.text) as Shown;
    if (this.#end !== undefined) expect(answer.text).toBe(this.#end);
    if (ENDED.includes(shown.status)) this.#end = answer.text;
    if (shown.result) expect([...this.#given]).toContain(`result ${shown.result.n}`);
    if (shown.status === "completed") expect(shown.result).toBeDefined();
    if (shown.status === "failed" && shown.error?.code !== -32603) {
      expect([...this.#given]).toContain(`error ${String(shown.error?.code)}`);
    }
    return shown;
  }

  async say(what: Said): Promise<void> {
    const flow = this.#flow;
    if (!flow) return;
    if (what !== "progress") this.#flow = undefined;
    if (what === "breakOff") return flow.breakOff();
    const n = ++this.#events;
    const text = this.#text(what, n);
    await (this.#hasIds ? flow.sayWithIds([`e${n}`, text]) : flow.say(text));
    if (what !== "progress") await flow.end();
  }

  #text(what: Exclude<Said, "breakOff">, n: number): string {
    if (what === "result" || what === "error") {
      const code = -32000 - n;
      this.#given.add(what === "result" ? `result ${n}` : `error ${code}`);
      return what === "result"
        ? resultOf('"c"', `"n":${n}`)
        : JSON.stringify({ jsonrpc: "2.0", id: "c", error: { code, message: "no" } });
    }
    if (what === "progress") {
      return rpc(undefined, "notifications/progress", { progressToken: "p", progress: n });
    }
    const request = '{"method":"elicitation/create","params":{}}';
    const asked = `"inputRequests":{"x":${request},"y":${request}},"requestState":"s${n}"`;
    return resultOf('"c"', `"resultType":"input_required",${asked}`);
  }

  async update(isWhole: boolean): Promise<void> {
    const shown = await this.get();
    const keys = Object.keys(shown?.inputRequests ?? {});
    const chosen = isWhole ? keys : keys.slice(0, 1);
    const answers = Object.fromEntries(chosen.map((key) => [key, '{"action":"accept"}']));
    if (keys.length > 0 && chosen.length === keys.length) this.#rounds++;
    await this.#ask({ kind: "update", upstream: "default", answers, headers: {} });
    await settle();
  }

  /** Time passes, and the alarms that are due ring. */
  async pass(ms: number): Promise<void> {
    for (const until = Date.now() + ms; ;) {
      const { alarm } = this.one.storage;
      await pass(Math.max(0, Math.min(until, alarm ?? Infinity) - Date.now()));
      if (alarm === null || alarm > Date.now()) return;
      this.one.storage.alarm = null;
      await this.one.object.alarm();
      await settle();
    }
  }

  async happen(one: Step): Promise<void> {
    switch (one.kind) {
      case "say":
        return this.say(one.what);
      case "get":
        return void (await this.get());
      case "cancel":
        await this.#ask({ kind: "cancel", upstream: "default" });
        return settle() as Promise<void>;
      case "evict":
        this.#flow = undefined;
        return this.one.evict();
      case "cut":
        await this.#body?.cancel().catch(() => undefined);
        this.#body = undefined;
        return;
      case "update":
        return this.update(one.isWhole);
      case "pass":
        return this.pass(one.ms);
    }
  }

  /** Nothing is in its way any more: it comes to its end, if it is a task. */
  async finish(): Promise<void> {
    await this.pass(AFTER_MS);
    for (let n = 0; n < 5; n++) {
      const shown = await this.get();
      if (!shown || ENDED.includes(shown.status)) return;
      if (shown.status === "input_required") await this.update(true);
      // A stream that broke off is taken up after a second.
      await pass(10_000);
      await this.say("result");
    }
    throw new Error("it does not end");
  }

  /** Each round of the call was sent once at most. */
  proveOnce(): void {
    const calls = this.one.all("tools/call");
    expect(calls.length).toBeLessThanOrEqual(1 + this.#rounds);
    expect(new Set(calls.map(({ body }) => body)).size).toBe(calls.length);
  }
}

it("is as if nothing had come between, or fails, and never runs a call twice", async () => {
  const plan = fc.record({
    hasIds: fc.boolean(),
    steps: fc.array(step, { minLength: 4, maxLength: 16 }),
  });
  await fc.assert(
    fc.asyncProperty(plan, async ({ hasIds, steps }) => {
      const play = new Play(hasIds);
      await settle();
      for (const one of steps) await play.happen(one);
      await play.finish();
      play.proveOnce();
    }),
    { numRuns: Number(process.env["TASK_RUNS"] ?? 400) },
  );
}, 120_000);
