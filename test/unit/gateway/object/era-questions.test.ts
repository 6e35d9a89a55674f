/**
 * A server with sessions asks, and many calls of clients of 2026-07-28 run in its session: a question reaches the
 * call that it belongs to, or nobody.
 */
import { expect, it, vi } from "vitest";
import type { Outcome } from "../../../../src/core/errors.ts";
import { ERA_LINGER_MS } from "../../../../src/core/limits.ts";
import type { EraRequest, ExchangeAnswer } from "../../../../src/gateway/contract.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import {
  Flow,
  json,
  logged,
  never,
  notice,
  ObjectInNode,
  pass,
  resultOf,
  rpc,
  settle,
  withObjects,
  type Asked,
  type ObjectOptions,
} from "../../../support/mcp/object-in-node.ts";
import { UPSTREAM_HELD, upstreamMessage } from "../../../../src/stream/protocol.ts";
import { ObjectStorage } from "../../../support/object-storage.ts";

withObjects();

const MATCH = { type: "mcp", upstream: "default", era: "1" } as const;
const CAPABILITIES = { elicitation: {}, roots: {} };
const INITIALIZE = rpc(0, "initialize", {
  protocolVersion: "2025-11-25",
  capabilities: CAPABILITIES,
  clientInfo: { name: "by-hand", version: "1" },
});
const elicit = (id: string): string =>
  rpc(id, "elicitation/create", { message: id, requestedSchema: { type: "object" } });

/**
 * A session whose upstream answers each call by a flow of its own, and a GET by the standalone one.
 * `endsNone`: it has no DELETE.
 */
async function carried({
  endsNone = false,
  ...options
}: ObjectOptions & { endsNone?: boolean } = {}) {
  const calls = new Map<string, Flow>();
  const listened: Flow[] = [];
  let sids = 1;
  let version = "1";
  const ended: (string | undefined)[] = [];
  const script = ({ verb, method, id, sid }: Asked) => {
    if (method === "initialize") {
      const result = `"protocolVersion":"2025-11-25","capabilities":{"tools":{"listChanged":true}},"serverInfo":{"name":"s","version":"${version}"}`;
      return json(resultOf(id, result), 200, { "mcp-session-id": one.upstreamSid });
    }
    if (verb === "GET") return (listened.push(new Flow()), listened.at(-1)!.response);
    if (verb === "DELETE") {
      one.upstreamSid = `upstream-${++sids}`;
      if (endsNone) return new Response(null, { status: 405 });
      ended.push(sid);
      return undefined;
    }
    if (ended.includes(sid)) return new Response(null, { status: 404 });
    if (method !== "tools/call") return undefined;
    const flow = new Flow();
    calls.set(id, flow);
    return flow.response;
  };
  const one = ObjectInNode.empty({ ...options, script });
  await one.initialize(INITIALIZE, { era: true });
  one.asked.length = 0;
  /** The answers that reached the server, by the id of its question. */
  const answers = (): Record<string, unknown> =>
    Object.fromEntries(
      one.asked.flatMap(({ body }) => {
        const { id, method, result, error } = JSON.parse(body || "{}") as Record<string, unknown>;
        return method === undefined && id !== undefined ? [[id, result ?? error]] : [];
      }),
    );
  return {
    one,
    answers,
    /** The stream of a call, once it was sent. */
    flow: (name: string) => calls.get(JSON.stringify(name))!,
    /** Says something that names no call. */
    say: async (text: string) => {
      await listened.at(-1)!.say(text);
      // It waits for a moment, since a server may ask several things at once.
      await pass(150);
    },
    call: (name: string, more: Partial<EraRequest> = {}) => carry(one, name, more),
    /** The server is restarted as this version, and knows none of its sessions. */
    replace: (next: string) => {
      ended.push(one.upstreamSid);
      one.upstreamSid = `upstream-${++sids}`;
      version = next;
    },
  };
}

function carry(
  one: ObjectInNode,
  name: string,
  more: Partial<EraRequest>,
  headers: Readonly<Record<string, string>> = {},
): Promise<Outcome<ExchangeAnswer>> {
  const era: EraRequest = {
    id: JSON.stringify(name),
    method: "tools/call",
    name: "pay",
    capabilities: CAPABILITIES,
    inputResponses: {},
    slot: "",
    ...more,
  };
  const body = rpc(name, "tools/call", { name: "pay", arguments: {} });
  return one.post(body, { era, match: MATCH, headers });
}

/** The questions with which an answer ends; undefined while there is none. */
function asks(answer: Promise<Outcome<ExchangeAnswer>>) {
  const seen: { messages?: string[]; kind?: string } = {};
  void answer.then(async (outcome) => {
    const { value } = outcome as { value: ExchangeAnswer };
    seen.kind = value.kind;
    if (value.kind === "flow") seen.messages = questionsIn(await new Response(value.body).text());
    if (value.kind === "json") seen.messages = questionsIn(value.body);
  });
  return seen;
}

function questionsIn(text: string): string[] {
  const asked = /"inputRequests":(\{.*\}),"requestState"/.exec(text)?.[1];
  if (asked === undefined) return [];
  const requests = JSON.parse(asked) as Record<string, { params?: { message?: string } }>;
  return Object.values(requests).map(({ params }) => params?.message ?? "");
}

/** The state and the client's answer with which it repeats a call that ended with one question. */
async function repetitionOf(asked: Promise<Outcome<ExchangeAnswer>>): Promise<Partial<EraRequest>> {
  const { value } = (await asked) as { value: ExchangeAnswer & { kind: "flow" } };
  const text = await new Response(value.body).text();
  const [, key = "", requestState = ""] =
    /"inputRequests":\{"([^"]*)".*"requestState":"([^"]*)"/.exec(text) ?? [];
  return { requestState, inputResponses: { [key]: '{"action":"accept"}' } };
}

const REFUSED = { code: -32603, message: expect.stringContaining("names no call") as string };

it("a question that names no call reaches the one call under way", async () => {
  const { one, call, say, answers } = await carried();
  const seen = asks(call("a"));
  await settle();
  await say(elicit("q"));
  expect([seen.messages, answers()]).toEqual([["q"], {}]);
  // Nobody who listens is to have it, so the log is not even made for it.
  expect(one.storage.left).not.toContain("messages");
});

it("reaches nobody where it may be another's, and from then on each such call is alone", async () => {
  const { call, say, answers, flow } = await carried();
  const [a, b] = [asks(call("a")), asks(call("b"))];
  await settle();
  await say(elicit("q"));
  expect(answers()).toEqual({ q: REFUSED });
  // A question on the stream of its call reaches that call all the same.
  await flow("b").say(elicit("own"));
  await pass(150);
  expect([a.messages, b.messages]).toEqual([undefined, ["own"]]);
  const [third, list] = [asks(call("c")), asks(call("d", { method: "tools/list" }))];
  await settle();
  expect(third).toEqual({ kind: "busy" });
  expect(list.kind).not.toBe("busy");
  // An older Worker knows of no other place.
  asks(call("e", { slot: undefined as never }));
  await settle();
  expect(flow("e")).toBeDefined();
});

it.each([
  ["the next version of a server has not asked so, and its calls share the session", "2", "flow"],
  ["the same version is known to ask so when it is there again", "1", "busy"],
])("%s", async (_, version, kind) => {
  const { call, say, flow, replace, one } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await flow("a").say(resultOf('"a"'));
  await first;
  replace(version);
  await pass(ERA_LINGER_MS);
  // It finds that the session is lost, and has it made anew.
  const second = call("b");
  await settle();
  await flow("b").say(resultOf('"b"'));
  await second;
  const [c, d] = [asks(call("c")), asks(call("d", { asksAside: '{"name":"s","version":"1"}' }))];
  await pass(300);
  expect([c.kind, d.kind]).toEqual(["flow", kind]);
  const described = await call("e", { method: "server/discover" });
  expect(JSON.stringify(described)).toContain(`\\"version\\":\\"${version}\\"`);
  // Another life of the object knows as much.
  await one.evict();
  expect((await call("f", { method: "server/discover" })).ok).toBe(true);
  const [g, h] = [asks(call("g")), asks(call("h"))];
  await pass(300);
  expect([g.kind, h.kind]).toEqual(["flow", kind]);
});

it("two calls that come together are not both alone", async () => {
  const { call, say, flow } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await flow("a").say(resultOf('"a"'));
  await first;
  // The server's standalone stream is left, and has to be opened first: neither call is sent at once.
  await pass(ERA_LINGER_MS);
  const [b, c] = [asks(call("b")), asks(call("c"))];
  await settle();
  expect([b.kind, c.kind]).toEqual([undefined, "busy"]);
});

it("a call that nobody waits for any more may still ask: nobody gets its question", async () => {
  const { one, call, say, answers } = await carried();
  const left = call("a");
  await pass(300);
  const { value } = (await left) as { value: ExchangeAnswer & { kind: "flow" } };
  await value.body.cancel();
  await settle();
  const b = asks(call("b"));
  await settle();
  await say(elicit("q"));
  expect([b, answers()]).toEqual([{ kind: "flow" }, { q: REFUSED }]);
  expect(one.all("DELETE")).toEqual([]);
});

it.each([
  ["if its server names no call", false],
  ["also where the server ends none", true],
])(
  "the session in which a call was given up is made anew before the next call, %s",
  async (_, endsNone) => {
    const { one, call, say, answers } = await carried({ endsNone });
    const first = call("a");
    await settle();
    await say(elicit("q"));
    await first;
    // The client leaves its question, and its time passes.
    await pass(3_600_000);
    const b = asks(call("b"));
    await settle();
    expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
    expect(one.asked.find(({ id }) => id === '"b"')?.sid).toBe("upstream-2");
    await say(elicit("r"));
    expect([b.messages, answers()["r"]]).toEqual([["r"], undefined]);
  },
);

it("it is made anew at its own replica", async () => {
  const { one, call, say } = await carried({ upstream: { replicas: [] } });
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await first;
  await pass(3_600_000);
  void call("b");
  await settle();
  expect(one.all("initialize").map(({ url }) => url)).toEqual([one.urls[0]]);
});

it("the server's stream may be silent from its beginning, is resumed where it broke off, and is left after the call", async () => {
  const { one, flow } = await carried();
  const streams = [new Flow(), new Flow()];
  const head = Promise.withResolvers<Response>();
  const { script } = one;
  one.script = (at) => {
    if (at.verb !== "GET") return script(at);
    return one.all("GET").length === 1 ? head.promise : streams[1]?.response;
  };
  void carry(one, "a", {}, { "x-client": "b" });
  await pass(90_000);
  expect(one.methods()).toEqual(["GET", "tools/call"]);
  expect(one.all("GET")[0]?.signal?.aborted).toBe(false);
  head.resolve(streams[0]!.response);
  await settle();
  await streams[0]!.sayWithIds(["e1", notice(1)]);
  await streams[0]!.breakOff();
  await pass(1000);
  const [, second] = one.all("GET");
  expect([second?.lastEventId, second?.headers["x-client"]]).toEqual(["e1", "b"]);
  await flow("a").say(resultOf('"a"'));
  await pass(ERA_LINGER_MS);
  expect(second?.signal?.aborted).toBe(true);
});

it("an object that was lost under such a call makes the session anew, and one that was at rest does not", async () => {
  const { one, call, say, flow } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await first;
  await flow("a").say(resultOf('"a"'));
  await pass(ERA_LINGER_MS);
  await one.evict();
  const rest = call("b");
  await settle();
  expect(one.all("DELETE")).toEqual([]);
  await flow("b").say(resultOf('"b"'));
  await rest;
  void call("c");
  await settle();
  await one.evict();
  const d = asks(call("d"));
  await settle();
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
  await say(elicit("r"));
  expect(d.messages).toEqual(["r"]);
});

it("a call of an earlier life keeps its session until its question has expired", async () => {
  const { one, call, say, flow } = await carried();
  const first = call("a");
  await settle();
  await flow("a").sayWithIds(["1", notice("begun")]);
  await say(elicit("q"));
  await first;
  await one.reload();
  const b = asks(call("b"));
  await settle();
  expect(b).toEqual({ kind: "busy" });
  // Calls come all the time, so the object stays in memory.
  await pass(3_600_000);
  const c = asks(call("c"));
  await settle();
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
  await say(elicit("r"));
  expect(c.messages).toEqual(["r"]);
});

it("calls that come together at a silent server wait for its time once", async () => {
  const script = ({ method }: Asked) => (method === "initialize" ? never() : undefined);
  const one = ObjectInNode.empty({ script, upstream: { timeoutSeconds: 10 } });
  const opened = [1, 2, 3].map(() => one.initialize(INITIALIZE, { era: true }));
  await pass(10_000);
  const value = { kind: "failed", failure: { status: 504 } };
  expect(await Promise.all(opened)).toMatchObject([1, 2, 3].map(() => ({ ok: true, value })));
  expect(one.all("initialize")).toHaveLength(1);
});

it("calls that come together open one upstream session at a time, also after the first could not be opened", async () => {
  const answers = [new Response("", { status: 500 }), undefined, undefined];
  const one = ObjectInNode.empty({
    script: ({ method }) => (method === "initialize" ? answers.shift() : undefined),
  });
  const opened = await Promise.all([1, 2, 3].map(() => one.initialize(INITIALIZE, { era: true })));
  expect(opened).toMatchObject([
    { ok: true, value: { kind: "failed" } },
    { ok: true, value: { kind: "initialized" } },
    { ok: false, code: "session_already_exists" },
  ]);
  expect([one.all("initialize").length, one.all("DELETE").length]).toEqual([2, 0]);
});

it("a call that is alone costs two rows, and none more if the next one comes soon", async () => {
  const { open } = ObjectStorage.prototype;
  let rows = 0;
  vi.spyOn(ObjectStorage.prototype, "open").mockImplementation(function (this: ObjectStorage) {
    const life = open.call(this);
    for (const method of ["put", "delete"] as const) {
      const original = life.storage.kv[method] as (key: string, value?: unknown) => unknown;
      vi.spyOn(life.storage.kv, method).mockImplementation(((key: string, value?: unknown) => {
        if (key.startsWith("era-")) rows++;
        return original(key, value);
      }) as never);
    }
    return life;
  });
  const { one, call, say, flow } = await carried();
  const quick = async (name: string) => {
    const answer = call(name);
    await settle();
    await flow(name).say(resultOf(JSON.stringify(name)));
    await answer;
  };
  // Before it has asked, it costs nothing.
  rows = 0;
  await quick("a");
  expect(rows).toBe(0);
  const asking = call("b");
  await settle();
  await say(elicit("q"));
  await flow("b").say(resultOf('"b"'));
  await asking;
  await pass(ERA_LINGER_MS);
  rows = 0;
  await quick("c");
  await pass(ERA_LINGER_MS);
  expect(rows).toBe(2);
  await quick("d");
  await pass(ERA_LINGER_MS - 1);
  await quick("e");
  await pass(ERA_LINGER_MS);
  expect([rows, one.all("DELETE").length]).toEqual([4, 0]);
});

it("a call that was asked before its own stream had said anything goes on in another life of the object", async () => {
  const { one, call, say, flow } = await carried();
  const asked = call("a");
  await settle();
  await say(elicit("q"));
  const state = await repetitionOf(asked);
  await flow("a").write("id: e1\ndata:\n\n");
  await one.evict();
  one.wake();
  const rest = new Flow();
  const { script } = one;
  one.script = (at) => (at.lastEventId === "e1" ? rest.response : script(at));
  const end = call("a", state);
  await settle();
  await rest.say(resultOf('"a"', '"content":[]'));
  await pass(300);
  const last = (await end) as { value: ExchangeAnswer & { kind: "flow" } };
  expect(await new Response(last.value.body).text()).toContain('"resultType":"complete"');
  expect(one.all("tools/call")).toHaveLength(1);
  expect(one.asked.filter(({ lastEventId }) => lastEventId === "e1")).toHaveLength(1);
});

it("a call that waited for the server's stream when its session ended is not sent, and has not failed", async () => {
  const { one, call } = await carried();
  const { script } = one;
  one.script = (at) => (at.verb === "GET" ? never() : script(at));
  const waiting = call("a");
  await settle();
  expect(one.methods()).toEqual(["GET"]);
  await one.end();
  await pass(1000);
  expect(await waiting).toMatchObject({ value: { failure: FAILURES.interrupted } });
  expect(one.all("tools/call")).toEqual([]);
  expect(logged("upstream.failed")).toEqual([]);
});

it("and keeps what its stream says meanwhile for the client that comes back", async () => {
  const { call, say, flow } = await carried();
  const asked = call("a");
  await settle();
  await say(elicit("q"));
  const state = await repetitionOf(asked);
  await flow("a").write("id: e1\ndata:\n\n");
  await flow("a").say(resultOf('"a"', '"content":[]'));
  const end = (await call("a", state)) as { value: ExchangeAnswer & { kind: "json" } };
  expect(end.value.body).toContain('"resultType":"complete"');
});

it("a question about the client itself goes to any call, or waits for the next one", async () => {
  const { one, call, say, answers, flow } = await carried();
  const first = call("a");
  await settle();
  await flow("a").say(resultOf('"a"'));
  await first;
  await say(rpc("roots", "roots/list"));
  const [b, c] = [asks(call("b")), asks(call("c"))];
  await pass(150);
  expect([b.messages, c.messages, answers()]).toEqual([[""], undefined, {}]);
  await say(rpc("ping", "ping"));
  await say(rpc("odd", "odd/thing"));
  expect(answers()).toMatchObject({ ping: {}, odd: { code: -32601 } });
  expect(one.all("DELETE")).toEqual([]);
});

it("a question about the client of an upstream session that is gone waits for nobody", async () => {
  const { one, call, say, answers, flow } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await flow("a").say(resultOf('"a"'));
  await first;
  const left = call("b");
  await pass(300);
  const { value } = (await left) as { value: ExchangeAnswer & { kind: "flow" } };
  await value.body.cancel();
  await settle();
  // A server numbers its questions anew in each session.
  await say(rpc(0, "roots/list"));
  const c = asks(call("c"));
  await pass(150);
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
  await say(rpc(0, "elicitation/create", { message: "r", requestedSchema: { type: "object" } }));
  expect([c.messages, answers()]).toEqual([["r"], {}]);
});

it("a server that is silent about the end of its session delays the next call by no more than a ping may take", async () => {
  const { one, call, say } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await first;
  await pass(3_600_000);
  const { script } = one;
  one.script = (at) => (at.verb === "DELETE" ? never() : script(at));
  void call("b");
  await pass(10_000);
  expect(one.all("tools/call")).toHaveLength(2);
});

it("the session of one task ends with its call, once the task has stored the answer, or needs none", async () => {
  const id = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a66";
  const name = `task-${id}`;
  const task = { id, verb: "call", afterMs: 0, withinMs: 3_600_000 } as const;
  const ends = async (slot: string, end: "result" | "untaken" | "cancel" | "unheard") => {
    const { one, call, flow } = await carried();
    const begun = call(name, { slot, task });
    await pass(300);
    const { value } = (await begun) as { value: ExchangeAnswer & { kind: "flow" } };
    if (end === "unheard") await value.body.cancel();
    if (end === "cancel") await call(name, { slot, task: { ...task, verb: "cancel" } });
    else await flow(name).say(resultOf(JSON.stringify(name)));
    if (end === "result") await call(name, { slot, task: { ...task, verb: "taken" } });
    await pass(ERA_LINGER_MS);
    return [one.exists, one.all("DELETE").length];
  };
  expect(await ends(id, "result")).toEqual([false, 1]);
  expect(await ends(id, "cancel")).toEqual([false, 1]);
  expect(await ends(id, "untaken")).toEqual([true, 0]);
  expect(await ends(id, "unheard")).toEqual([true, 0]);
  expect(await ends("", "result")).toEqual([true, 0]);
});

it("and no session that was made again under its id meanwhile", async () => {
  const id = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a66";
  const name = `task-${id}`;
  const task = { id, verb: "call", afterMs: 0, withinMs: 3_600_000 } as const;
  const { one, call, flow } = await carried();
  void call(name, { slot: id, task });
  await pass(300);
  await flow(name).say(resultOf(JSON.stringify(name)));
  await one.end();
  await one.initialize(INITIALIZE, { era: true });
  await pass(ERA_LINGER_MS);
  expect(one.exists).toBe(true);
});

it("an object is lost under a call that began soon after another one had ended: the session is made anew", async () => {
  const { one, call, say, flow } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await flow("a").say(resultOf('"a"'));
  await first;
  void call("b");
  await pass(ERA_LINGER_MS);
  await one.evict();
  void call("c");
  await settle();
  expect(one.all("DELETE").map(({ sid }) => sid)).toEqual(["upstream-1"]);
});

it.each([15, 16, 17])(
  "of %i questions about the client that wait for a call the last sixteen are asked",
  async (asked) => {
    const { call, say, flow } = await carried();
    const first = call("a");
    await settle();
    await flow("a").say(resultOf('"a"'));
    await first;
    for (let n = 0; n < asked; n++) await say(rpc(n, "roots/list"));
    const b = asks(call("b"));
    await pass(150);
    expect(b.messages).toHaveLength(Math.min(asked, 16));
  },
);

it("a call waits until a listening client's bridge has the stream of the new upstream session, and gets nothing of the last one", async () => {
  const { one, call, say, answers } = await carried();
  const first = call("a");
  await settle();
  await say(elicit("q"));
  await first;
  await pass(3_600_000);
  const filter = { toolsListChanged: true } as const;
  const listen = { kind: "listen", id: '"l"', filter, headers: {}, match: MATCH } as const;
  const reader = await one.attach(listen);
  await one.word(reader, UPSTREAM_HELD);
  const b = asks(call("b"));
  await settle();
  // It was on its way when the session was made anew.
  await one.word(reader, upstreamMessage(undefined, elicit("old")));
  await pass(150);
  expect([b, answers(), one.all("tools/call").length]).toEqual([{}, {}, 1]);
  await one.word(reader, UPSTREAM_HELD);
  expect(one.all("tools/call")).toHaveLength(2);
  await one.word(reader, upstreamMessage(undefined, elicit("new")));
  await pass(150);
  expect([b.messages, answers()]).toEqual([["new"], {}]);
});
