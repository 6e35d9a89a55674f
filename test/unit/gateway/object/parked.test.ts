/**
 * Calls that wait for their client, over the bridge of the eras in both directions: what is asked, what is
 * kept meanwhile, and what another life of the object makes of it.
 */
import { expect, it, vi } from "vitest";
import type { EraRequest, ExchangeAnswer } from "../../../../src/gateway/contract.ts";
import type { Outcome } from "../../../../src/core/errors.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import { SseParser } from "../../../../src/wire/sse-parser.ts";
import {
  errorOf,
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
  toolCall,
  withObjects,
  type Asked,
  type Reader,
  type Script,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

const interrupted = (id: string) => errorOf(-32603, FAILURES.interrupted.message, id);
const parse = (text: string | undefined) => JSON.parse(text ?? "null") as Record<string, unknown>;

const initializeWith = (capabilities: object, version = "2025-11-25") =>
  rpc(0, "initialize", {
    protocolVersion: version,
    capabilities,
    clientInfo: { name: "by-hand", version: "1" },
  });
const QUESTION = {
  method: "elicitation/create",
  params: { message: "Who?", requestedSchema: { type: "object", properties: {} } },
};
const complete = (id: string, members = "") =>
  resultOf(id, `"resultType":"complete"${members === "" ? "" : `,${members}`}`);
const asks = (id: string, requests: object, state?: string) =>
  resultOf(
    id,
    `"resultType":"input_required","inputRequests":${JSON.stringify(requests)}${state === undefined ? "" : `,"requestState":${JSON.stringify(state)}`}`,
  );
const again = (id: string) => asks(id, {}, "later");
/** An answer that is a stream of these messages, which come together. */
const streamOf = (...messages: readonly string[]) =>
  new Response(messages.map((data) => `data: ${data}\n\n`).join(""), {
    headers: { "content-type": "text/event-stream" },
  });

/** A client with sessions at a server of the stateless revision, which answers calls by `answer`. */
function bridged(
  answer: Script,
  capabilities: object = { elicitation: {} },
  version?: string,
  { ttlMs = 7_200_000, callSeconds = 3600 } = {},
) {
  const script = (asked: Asked): ReturnType<Script> =>
    asked.method === "server/discover"
      ? json(resultOf(asked.id, '"supportedVersions":["2026-07-28"],"capabilities":{}'))
      : answer(asked);
  const initialize = initializeWith(capabilities, version);
  return ObjectInNode.open({ script, upstream: { era: "modern", callSeconds }, initialize, ttlMs });
}

const paramsOf = ({ body }: Asked) => parse(body)["params"] as Record<string, unknown>;
const calls = (one: ObjectInNode) => one.all("tools/call");

/** The question that came last on a client's stream. */
const questionOn = ({ messages }: Reader) =>
  parse(messages.at(-1)) as { id: string; method: string };
const answerTo = ({ id }: { id: string }, result: object = { action: "accept" }) =>
  JSON.stringify({ jsonrpc: "2.0", id, result });

const asksOnce: Script = (asked) => {
  if (asked.method !== "tools/call") return undefined;
  const hasAnswers = "inputResponses" in paramsOf(asked);
  return json(hasAnswers ? complete(asked.id) : asks(asked.id, { who: QUESTION }, "state-1"));
};

/** Posts a call, and follows the stream on which its client is asked. */
async function askedBy(
  one: ObjectInNode,
  message: string | string[] = toolCall(1),
): Promise<Reader> {
  const answer = await one.post(message);
  if (!answer.ok || answer.value.kind !== "stream") throw new Error(JSON.stringify(answer));
  return one.attach({ kind: "exchange", stream: answer.value.stream });
}

/** A session with a call whose client is asked this question on this stream. */
async function askedOnce() {
  const one = await bridged(asksOnce);
  const reader = await askedBy(one);
  return { one, reader, question: questionOn(reader) };
}

const taken = { ok: true, value: { kind: "accepted" } };

it("takes the newer revision's members off a result", async () => {
  const one = await bridged(({ id, method }) =>
    method === "tools/call" ? json(complete(id, '"content":[]')) : undefined,
  );
  expect(await one.post(toolCall(1))).toEqual({
    ok: true,
    value: { kind: "json", status: 200, body: resultOf("1", '"content":[]') },
  });
});

it.each([false, true])(
  "asks the client, and sends the call again with the answer (evicted meanwhile: %s)",
  async (evicted) => {
    const { one, reader, question } = await askedOnce();
    expect(question).toMatchObject({ method: "elicitation/create", params: { message: "Who?" } });
    await pass(600_000);
    if (evicted) await one.evict();
    expect(await one.post(answerTo(question))).toEqual(taken);
    await settle();
    expect([reader.messages.slice(1), reader.closed]).toEqual([[resultOf("1")], 4002]);
    const [first, second] = calls(one);
    expect(first?.id).toBe("1");
    expect(second?.id).toMatch(/^"holdfast-again-/);
    expect(paramsOf(second!)).toMatchObject({
      inputResponses: { who: { action: "accept" } },
      requestState: "state-1",
    });
    // A second answer is taken, and does nothing; of neither the server hears.
    expect(await one.post(answerTo(question))).toEqual(taken);
    expect(one.all("POST")).toEqual([]);
    await one.reload();
    expect([calls(one).length, reader.messages.length]).toEqual([2, 2]);
  },
);

it("asks over several rounds, with an eviction in each", async () => {
  const one = await bridged((asked) => {
    if (asked.method !== "tools/call") return undefined;
    const { requestState } = paramsOf(asked);
    const round = requestState === undefined ? 0 : Number(requestState);
    return json(
      round === 3 ? complete(asked.id) : asks(asked.id, { who: QUESTION }, `${round + 1}`),
    );
  });
  const reader = await askedBy(one);
  for (let round = 1; round <= 3; round++) {
    expect(reader.messages).toHaveLength(round);
    await one.evict();
    await one.post(answerTo(questionOn(reader)));
    await settle();
  }
  expect([reader.messages.at(-1), reader.closed]).toEqual([resultOf("1"), 4002]);
  expect(calls(one)).toHaveLength(4);
});

it("waits for all answers of a round, over evictions, and keeps each", async () => {
  const one = await bridged((asked) => {
    if (asked.method !== "tools/call") return undefined;
    const hasAnswers = "inputResponses" in paramsOf(asked);
    return json(hasAnswers ? complete(asked.id) : asks(asked.id, { a: QUESTION, b: QUESTION }));
  });
  const reader = await askedBy(one);
  const [first, second] = reader.messages.map((text) => parse(text) as { id: string });
  await one.post(answerTo(second!, { action: "decline" }));
  // A client that says it again answers nothing else by that.
  await one.post(answerTo(second!));
  await one.evict();
  await settle();
  expect(calls(one)).toHaveLength(1);
  await one.post(answerTo(first!));
  await settle();
  expect(paramsOf(calls(one)[1]!)["inputResponses"]).toEqual({
    a: { action: "accept" },
    b: { action: "decline" },
  });
  expect(reader.closed).toBe(4002);
});

it("keeps the session of a call that was sent again and takes longer than the TTL, for a TTL from its answer", async () => {
  const ttlMs = 10_000;
  const late = Promise.withResolvers<Response>();
  const slow: Script = (asked) =>
    "inputResponses" in paramsOf(asked) ? late.promise : asksOnce(asked);
  const one = await bridged(slow, undefined, undefined, { ttlMs });
  const reader = await askedBy(one);
  await one.post(answerTo(questionOn(reader)));
  one.leave(reader);
  await pass(3 * ttlMs);
  late.resolve(json(complete(calls(one)[1]?.id ?? "")));
  await settle();
  await pass(ttlMs - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it("interrupts a call that was sent again when the object left memory: the server may have it", async () => {
  const one = await bridged((asked) =>
    asked.method === "tools/call" && "inputResponses" in paramsOf(asked)
      ? never()
      : asksOnce(asked),
  );
  const reader = await askedBy(one);
  await one.post(answerTo(questionOn(reader)));
  await settle();
  expect(calls(one)).toHaveLength(2);
  await one.reload();
  expect([reader.messages.at(-1), reader.closed]).toEqual([interrupted("1"), 4002]);
  expect(calls(one)).toHaveLength(2);
});

it("keeps the one of a batch that waits for its client, where the other is interrupted", async () => {
  const one = await bridged(
    (asked) => (asked.body.includes("slow") ? never() : asksOnce(asked)),
    { elicitation: {} },
    "2025-03-26",
  );
  const answer = one.post([toolCall(1), toolCall(2, "slow")]);
  await pass(300);
  expect(await answer).toMatchObject({ value: { kind: "stream", stream: 2 } });
  const reader = await one.attach({ kind: "exchange", stream: 2 });
  const question = questionOn(reader);
  await one.reload();
  expect([reader.messages.slice(1), reader.closed]).toEqual([[interrupted("2")], undefined]);
  await one.post(answerTo(question));
  await settle();
  expect([reader.messages.slice(2), reader.closed]).toEqual([[resultOf("1")], 4002]);
});

it.each<[how: string, answer: (id: string) => Response, more: readonly string[]]>([
  ["JSON", (id) => json(complete(id)), []],
  ["a stream", (id) => streamOf(notice("more"), complete(id)), [notice("more")]],
])(
  "sends the answer of the one of a batch that was asked at once, as %s, and ends with the other one",
  async (_how, answered, more) => {
    const slow = new Flow();
    const one = await bridged(
      (asked) => {
        if (asked.body.includes("slow")) return slow.response;
        if (asked.method !== "tools/call") return undefined;
        const hasAnswers = "inputResponses" in paramsOf(asked);
        return hasAnswers ? answered(asked.id) : json(asks(asked.id, { who: QUESTION }));
      },
      { elicitation: {} },
      "2025-03-26",
    );
    const answer = one.post([toolCall(1), toolCall(2, "slow")]);
    await pass(300);
    expect(await answer).toMatchObject({ value: { kind: "stream", stream: 2 } });
    const reader = await one.attach({ kind: "exchange", stream: 2 });
    await one.post(answerTo(questionOn(reader)));
    await settle();
    expect([reader.messages.slice(1), reader.closed]).toEqual([
      [...more, resultOf("1")],
      undefined,
    ]);
    await slow.say(complete("2"));
    expect([reader.messages.at(-1), reader.closed]).toEqual([resultOf("2"), 4002]);
  },
);

it("keeps the session for a TTL from a question to its client, while another call of the batch goes on", async () => {
  const ttlMs = 10_000;
  const late = Promise.withResolvers<Response>();
  const one = await bridged(
    ({ method, body }) => {
      if (method !== "tools/call") return undefined;
      return body.includes("slow") ? new Flow().response : late.promise;
    },
    { elicitation: {} },
    "2025-03-26",
    { ttlMs },
  );
  void one.post([toolCall(1), toolCall(2, "slow")]);
  await pass(ttlMs - 1);
  late.resolve(json(asks("1", { who: QUESTION })));
  await pass(ttlMs - 1);
  expect(one.exists).toBe(true);
  await pass(1);
  expect(one.exists).toBe(false);
});

it("takes a question that is about no call for no answer to one", async () => {
  const one = await bridged(({ method, id }) =>
    method === "tools/call" ? streamOf(asks("99", { who: QUESTION }), complete(id)) : undefined,
  );
  expect(await one.post(toolCall(1))).toEqual({
    ok: true,
    value: { kind: "json", status: 200, body: resultOf("1") },
  });
  expect(logged("upstream.stray_response")).toHaveLength(1);
});

it("repeats in headers what the server's list of tools says", async () => {
  const schema = {
    type: "object",
    properties: { place: { type: "string", "x-mcp-header": "Place" } },
  };
  const tools = `"tools":${JSON.stringify([{ name: "pay", inputSchema: schema }])}`;
  const one = await bridged(({ method, id }) =>
    method === "tools/list" ? json(complete(id, tools)) : undefined,
  );
  await one.post(rpc(1, "tools/list"));
  await one.post(rpc(2, "tools/call", { name: "pay", arguments: { place: "Rome" } }));
  expect(calls(one)[0]?.headers["mcp-param-place"]).toBe("Rome");
});

it.each([false, true])(
  "cancels a call that waits for its client (evicted meanwhile: %s)",
  async (evicted) => {
    const { one, reader, question } = await askedOnce();
    if (evicted) await one.evict();
    await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
    expect(reader.messages.slice(1)).toEqual([errorOf(-32603, FAILURES.cancelled.message, "1")]);
    expect(reader.closed).toBe(4002);
    await one.post(answerTo(question));
    await settle();
    expect(calls(one)).toHaveLength(1);
  },
);

it("ends with the session, in an error to the client that waits", async () => {
  const { one, reader } = await askedOnce();
  await one.evict();
  await one.end();
  await settle();
  expect(reader.messages.slice(1)).toEqual([errorOf(-32001, "Session not found", "1")]);
  expect(reader.closed).toBe(4000);
});

it("answers the call with the client's error where the client will not say", async () => {
  const { one, reader, question } = await askedOnce();
  await one.evict();
  await one.post(errorOf(-1, "not now", JSON.stringify(question.id)));
  await settle();
  expect(parse(reader.messages.at(-1))).toMatchObject({ id: 1, error: { code: -1 } });
  expect([reader.closed, calls(one).length]).toEqual([4002, 1]);
});

it("does not ask what the client has no capability for", async () => {
  const one = await bridged(asksOnce, {});
  const answer = await one.post(toolCall(1));
  expect(answer).toMatchObject({ value: { kind: "json" } });
  const { value } = answer as { value: { body: string } };
  expect(parse(value.body)).toMatchObject({ id: 1, error: { code: -32021 } });
});

it("sends a call again after a pause where the server asks for nothing but time, and no longer than a call may take", async () => {
  let rounds = 0;
  const one = await bridged(({ method, id }) => {
    if (method !== "tools/call") return undefined;
    return json(++rounds < 3 ? again(id) : complete(id));
  });
  const reader = await one.follow(toolCall(1));
  expect(calls(one)).toHaveLength(2);
  await pass(200);
  expect(calls(one)).toHaveLength(3);
  expect([reader.messages, reader.closed]).toEqual([[resultOf("1")], 4002]);
  expect(paramsOf(calls(one)[2]!)["requestState"]).toBe("later");
});

it("gives such a call up in the end, and when it is cancelled", async () => {
  const asksForTime: Script = ({ method, id }) =>
    method === "tools/call" ? json(again(id)) : undefined;
  const one = await bridged(asksForTime);
  const reader = await one.follow(toolCall(1));
  await one.post(rpc(undefined, "notifications/cancelled", { requestId: 1 }));
  const before = calls(one).length;
  await pass(10_000);
  expect(calls(one).length).toBe(before);
  expect([reader.messages, reader.closed]).toEqual([
    [errorOf(-32603, FAILURES.cancelled.message, "1")],
    4002,
  ]);
  const other = await bridged(asksForTime, {}, undefined, { callSeconds: 60 });
  const patient = await other.follow(toolCall(1));
  // It follows the stream since 300 ms.
  await pass(59_699);
  expect(patient.messages).toEqual([]);
  await pass(1);
  expect(patient.messages).toEqual([errorOf(-32603, FAILURES.timedOut.message, "1")]);
});

it("lets a server that has asked for nothing but time ask the client in the end, however late", async () => {
  const begun = Date.now();
  const lateQuestion: Script = ({ method, id }) => {
    if (method !== "tools/call") return undefined;
    return json(Date.now() - begun < 60_000 ? again(id) : asks(id, { who: QUESTION }));
  };
  const one = await bridged(lateQuestion, undefined, undefined, { callSeconds: 60 });
  const reader = await one.follow(toolCall(1));
  await pass(59_700);
  expect(questionOn(reader)).toMatchObject({ method: "elicitation/create" });
});

/** A client of the stateless revision at a server with sessions, whose calls are answered by these flows. */
async function carried(...flows: readonly Flow[]) {
  let next = 0;
  const rests: Flow[] = [];
  const script = (asked: Asked) => {
    if (asked.verb === "GET" && asked.lastEventId !== undefined)
      return (rests.push(new Flow()), rests.at(-1)!.response);
    return asked.method === "tools/call" ? flows[next++]?.response : undefined;
  };
  const one = ObjectInNode.empty({ script, upstream: { callSeconds: 60 } });
  await one.initialize(initializeWith({ elicitation: {} }), { era: true });
  one.asked.length = 0;
  return { one, rests };
}

const UPSTREAM_ID = '"up-1"';

function ask(one: ObjectInNode, era: Partial<EraRequest> = {}): Promise<Outcome<ExchangeAnswer>> {
  const request: EraRequest = {
    id: "7",
    method: "tools/call",
    name: "pay",
    capabilities: { elicitation: {} },
    inputResponses: {},
    ...era,
  };
  const match = { type: "mcp", upstream: "default", era: "1" } as const;
  return one.post(rpc("up-1", "tools/call", { name: "pay", arguments: {} }), {
    era: request,
    match,
  });
}

const elicit = (id: string) => rpc(id, "elicitation/create", QUESTION.params);
interface Last {
  readonly id: number;
  readonly result: Record<string, unknown>;
  readonly error?: { readonly message: string };
}

/** The last message of an answer that is over, whether it is JSON or a stream. */
async function lastOf(answer: Outcome<ExchangeAnswer>): Promise<Last> {
  const { value } = answer as { value: ExchangeAnswer };
  if (value.kind === "json") return parse(value.body) as unknown as Last;
  if (value.kind !== "flow") throw new Error(JSON.stringify(answer));
  const text = await new Response(value.body).text();
  const [event] = [...new SseParser(1 << 24).push(new TextEncoder().encode(text))].slice(-1);
  return parse(event?.data) as unknown as Last;
}

/** The state and the answer to the one question in an answer. */
async function stateIn(answer: Outcome<ExchangeAnswer>) {
  const { result } = await lastOf(answer);
  expect(result["resultType"]).toBe("input_required");
  const [key = ""] = Object.keys(result["inputRequests"] as object);
  return {
    requestState: result["requestState"] as string,
    inputResponses: { [key]: '{"action":"accept"}' },
  };
}

/** The requests for the rest of a stream. */
const resumptions = (one: ObjectInNode) =>
  one.all("GET").flatMap(({ lastEventId }) => lastEventId ?? []);

/** Asks, and has the server ask the client, after an event with this id. */
async function parked(flow: Flow, one: ObjectInNode, eventId?: string) {
  const answer = ask(one);
  await pass(20);
  const question = elicit("q");
  if (eventId === undefined) await flow.say(question);
  else await flow.sayWithIds([eventId, question]);
  await pass(100);
  return stateIn(await answer);
}

it("ends a stateless client's request with the question, and gives the answer to the same call of the server", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  const state = await parked(flow, one);
  const repeated = ask(one, state);
  await settle();
  expect(one.asked.at(-1)?.body).toBe('{"jsonrpc":"2.0","id":"q","result":{"action":"accept"}}');
  await flow.say(resultOf(UPSTREAM_ID));
  expect(await lastOf(await repeated)).toEqual({
    jsonrpc: "2.0",
    id: 7,
    result: { resultType: "complete" },
  });
  expect(calls(one)).toHaveLength(1);
  expect((await lastOf(await ask(one, state))).error?.message).toContain("used before");
});

it("takes the server's stream up again where the object left memory while the client was asked", async () => {
  const flow = new Flow();
  const { one, rests } = await carried(flow);
  const state = await parked(flow, one, "e1");
  await one.reload();
  // Nobody waits for it so far, and nothing is lost: the client has to come first.
  expect(resumptions(one)).toEqual([]);
  const repeated = ask(one, state);
  await settle();
  expect(resumptions(one)).toEqual(["e1"]);
  await rests[0]?.say(resultOf(UPSTREAM_ID));
  expect(await lastOf(await repeated)).toMatchObject({ id: 7, result: { resultType: "complete" } });
  expect(calls(one)).toHaveLength(1);
});

it("says that the call was interrupted where the server's stream cannot be taken up, and asks nobody again", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  const state = await parked(flow, one);
  await one.evict();
  expect(await ask(one, state)).toEqual({
    ok: true,
    value: { kind: "json", status: 200, body: interrupted("7") },
  });
  expect(calls(one)).toHaveLength(1);
});

it("keeps what the server says while the client is asked, for its repetition in another life", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  const state = await parked(flow, one, "e1");
  await flow.sayWithIds(["e2", notice("between")], ["e3", resultOf(UPSTREAM_ID, '"content":[]')]);
  await one.evict();
  const answer = await ask(one, { ...state, logLevel: undefined });
  expect(await lastOf(answer)).toMatchObject({ id: 7, result: { content: [] } });
  expect([calls(one).length, resumptions(one).length]).toEqual([1, 0]);
});

it("takes the server's stream up after what the object has kept of it, not after the question", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  const state = await parked(flow, one, "e1");
  await flow.sayWithIds(["e2", notice("between")]);
  await one.evict();
  void ask(one, state);
  await settle();
  expect(resumptions(one)).toEqual(["e2"]);
});

it("refuses a state that has expired, in whichever life, and one of another request", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  const state = await parked(flow, one, "e1");
  await one.evict();
  const other = await ask(one, { ...state, name: "other" });
  expect((await lastOf(other)).error?.message).toContain("another request");
  vi.setSystemTime(Date.now() + 60_000);
  expect((await lastOf(await ask(one, state))).error?.message).toContain("expired");
});

it("owes a client nothing whose request was under way: its connection died with the object", async () => {
  const flow = new Flow();
  const { one } = await carried(flow);
  void ask(one);
  await pass(300);
  await flow.sayWithIds(["e1", notice(1)]);
  await one.reload();
  expect([resumptions(one).length, calls(one).length]).toEqual([0, 1]);
  expect(one.storage.rows()["exchanges"]).toBeUndefined();
});
