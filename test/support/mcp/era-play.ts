/**
 * One call that asks its user, played by hand against the gateway, with a harm done at each step. A
 * step is either at rest (the question is with the user, and nothing is under way), or under way.
 */
import type { Era } from "../../../src/gateway/eras/speaks.ts";
import type { SeveringRelay } from "../severing-relay.ts";
import type { Service } from "../service.ts";
import type { SseReader } from "../sse-reader.ts";
import { freshFetch } from "./fresh-fetch.ts";
import { McpSession, readerOf, textOf, wholeAnswer, type Rpc } from "./client.ts";

/**
 * `cut` ends the client's connections, `kill` is `kill -9`, `repeat` sends the user's answer twice, `forge`
 * has somebody else answer first, and `evict` is a silence in which workerd takes objects out of memory.
 */
export type Harm = "none" | "cut" | "kill" | "repeat" | "forge" | "evict";

export interface Plan {
  /** The server's; the client is of the other one. */
  readonly server: Era;
  /** How often the tool asks. */
  readonly rounds: 1 | 2;
  /** By step: after the call, at the first question, after its answer, at the second one, after its answer. */
  readonly harms: readonly Harm[];
}

export interface Outcome {
  /** `lost`: the connection ended with nothing to take up again. */
  readonly end: "result" | "error" | "lost";
  readonly said: string | undefined;
  /** The questions that the server's user was asked, in order. */
  readonly asked: readonly string[];
}

/** The outcome that a plan leaves open: after a harm to what was under way an error is right too. */
export function mayFail({ server, rounds, harms }: Plan): boolean {
  return harms.slice(0, 2 * rounds + 1).some((harm, step) => {
    if (step % 2 === 1) return false;
    // A client of 2026-07-28 that leaves cancels. One with a session comes back, once it has an event id.
    return harm === "kill" || (harm === "cut" && (server === "legacy" || step === 0));
  });
}

/** The parts that a play needs. The relay leads to the service, and `url` through it to the upstream. */
export interface Stage {
  readonly service: Service;
  readonly relay: SeveringRelay;
  readonly url: string;
  readonly tag: string;
}

/** Milliseconds after which a client that waits counts as hung. */
const HUNG_MS = 20_000;

export function play(stage: Stage, plan: Plan): Promise<Outcome> {
  return plan.server === "modern" ? playLegacyClient(stage, plan) : playModernClient(stage, plan);
}

/** Milliseconds after which workerd has evicted an idle object. It waits for ten seconds. */
const EVICTION_MS = 12_000;

async function harm({ service, relay }: Stage, what: Harm | undefined): Promise<void> {
  if (what === "cut") relay.cut();
  if (what === "evict") await new Promise((resolve) => setTimeout(resolve, EVICTION_MS));
  if (what !== "kill") return;
  await service.kill();
  await service.restart();
}

async function inTime<T>(what: string, work: Promise<T>): Promise<T> {
  const hung = Promise.withResolvers<never>();
  const timer = setTimeout(() => hung.reject(new Error(`hung: ${what}`)), HUNG_MS);
  return Promise.race([work, hung.promise]).finally(() => clearTimeout(timer));
}

const callOf = ({ tag }: Stage, { rounds }: Plan) => ({
  name: rounds === 1 ? "era_elicit" : "era_elicit_twice",
  arguments: { tag },
});

/** A failure of the network, which is none of the gateway's. */
const broken = (): undefined => undefined;

/** Sends anew while the network fails (a TypeError of `fetch`), also on a kept connection that was cut meanwhile. */
async function insist<T>(send: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await send();
    } catch (cause) {
      if (!(cause instanceof TypeError)) throw cause;
    }
  }
}

/** Takes the stream of one call up again wherever it broke, by its last event id. */
class Following {
  readonly #session: McpSession;
  #reader: SseReader | undefined;
  #last: string | undefined;
  /** Whether it was taken up, and has brought nothing since. */
  #isQuiet = false;

  constructor(session: McpSession, reader: SseReader | undefined) {
    this.#session = session;
    this.#reader = reader;
  }

  /** The next message; undefined where the stream cannot be taken up, or has ended. */
  async next(): Promise<Rpc | undefined> {
    for (;;) {
      const [frame] = (await this.#reader?.take(1).catch(broken)) ?? [];
      this.#last = frame?.id ?? this.#last;
      if (frame?.data) {
        this.#isQuiet = false;
        return JSON.parse(frame.data) as Rpc;
      }
      if (frame) continue;
      const last = this.#last;
      if (last === undefined || (this.#isQuiet && this.#reader?.ended)) return undefined;
      this.#reader = readerOf(await insist(() => this.#session.get(last)));
      this.#isQuiet = true;
    }
  }
}

async function playLegacyClient(stage: Stage, plan: Plan): Promise<Outcome> {
  const [id, asked]: [string, string[]] = [`call-${stage.tag}`, []];
  const session = await inTime(
    "opening",
    insist(() => McpSession.open(stage.url)),
  );
  const params = callOf(stage, plan);
  const posting = session.post({ jsonrpc: "2.0", id, method: "tools/call", params });
  const response = posting.catch(broken);
  await harm(stage, plan.harms[0]);
  const answered = await inTime("the call", response);
  const following = new Following(session, answered && readerOf(answered));
  for (let round = 0; ; round++) {
    const message = await inTime(`message ${round}`, following.next());
    if (!message) return { end: "lost", said: undefined, asked };
    if (message.method === undefined) {
      if (message.id !== id) throw new Error(`an answer to nothing: ${JSON.stringify(message)}`);
      const more = await inTime("the end", following.next());
      if (more) throw new Error(`a message behind the answer: ${JSON.stringify(more)}`);
      return { end: message.error ? "error" : "result", said: textOf(message), asked };
    }
    const name = (message.params as { message?: string }).message ?? "";
    asked.push(name);
    await harm(stage, plan.harms[2 * round + 1]);
    const result = { action: "accept", content: { name } };
    const answer = () => session.post({ jsonrpc: "2.0", id: message.id, result });
    const what = plan.harms[2 * round + 2];
    if (what === "forge") {
      const other = await insist(() => McpSession.open(stage.url));
      await insist(() => other.post({ jsonrpc: "2.0", id: message.id, result: FORGED }));
    }
    const sending = [answer(), ...(what === "repeat" ? [answer()] : [])];
    // Whether a cut answer arrived is not known, so it is sent again.
    const sent = Promise.all(sending.map((one) => one.then(({ status }) => status, broken)));
    await harm(stage, what);
    if (!(await inTime("the user's answer", sent)).includes(202)) {
      await inTime("the user's answer again", insist(answer));
    }
  }
}

const FORGED = { action: "accept", content: { name: "forged" } };

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "by-hand", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": { elicitation: {} },
};

interface Asking {
  readonly resultType?: string;
  readonly requestState?: string;
  readonly inputRequests?: Readonly<Record<string, { params: { message: string } }>>;
}

async function playModernClient(stage: Stage, plan: Plan): Promise<Outcome> {
  const asked: string[] = [];
  const params = callOf(stage, plan);
  let ids = 0;
  /** The answer to a request of its own id; undefined where its connection broke. */
  const send = async (more: object, meta: object = META): Promise<Rpc | undefined> => {
    const id = `call-${stage.tag}-${++ids}`;
    const body = {
      jsonrpc: "2.0",
      id,
      method: "tools/call",
      params: { ...params, ...more, _meta: meta },
    };
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": "tools/call",
      "mcp-name": params.name,
    };
    const request = { method: "POST", body: JSON.stringify(body), headers };
    const answer = await freshFetch(stage.url, request).then(wholeAnswer).catch(broken);
    const mine = answer?.messages.filter((message) => message.id === id) ?? [];
    if (mine.length > 1) throw new Error(`two answers: ${JSON.stringify(mine)}`);
    return mine[0];
  };
  let more: Answers | undefined;
  for (let round = 0; ; round++) {
    const what = plan.harms[2 * round];
    if (what === "forge" && more) await refusesForged(more, send);
    const isTwice = what === "repeat" && round > 0;
    const sending = [send({ ...more }), ...(isTwice ? [send({ ...more })] : [])];
    const sent = Promise.all(sending);
    await harm(stage, what);
    const answers = await inTime(`round ${round}`, sent);
    const good = answers.filter((one) => one?.result !== undefined);
    if (good.length > 1) throw new Error(`a state was taken twice: ${JSON.stringify(good)}`);
    const message = good[0] ?? answers[0];
    if (!message) return { end: "lost", said: undefined, asked };
    if (message.error) return { end: "error", said: message.error.message, asked };
    const { resultType, requestState, inputRequests = {} } = message.result as Asking;
    if (resultType !== "input_required") return { end: "result", said: textOf(message), asked };
    const inputResponses: Record<string, object> = {};
    for (const [key, { params: question }] of Object.entries(inputRequests)) {
      asked.push(question.message);
      inputResponses[key] = { action: "accept", content: { name: question.message } };
    }
    await harm(stage, plan.harms[2 * round + 1]);
    more = { inputResponses, requestState };
  }
}

interface Answers {
  readonly inputResponses: Readonly<Record<string, object>>;
  readonly requestState: string | undefined;
}

/** A state that was changed, and one that another client names. */
async function refusesForged(
  { inputResponses, requestState = "" }: Answers,
  send: (more: object, meta?: object) => Promise<Rpc | undefined>,
): Promise<void> {
  const forged = Object.keys(inputResponses).map((key) => [key, FORGED]);
  const more = { inputResponses: Object.fromEntries(forged) as object, requestState };
  const other = { name: "somebody-else", version: "1" };
  for (const answer of [
    await send({ ...more, requestState: `${requestState}0` }),
    await send(more, { ...META, "io.modelcontextprotocol/clientInfo": other }),
  ]) {
    if (!answer?.error) throw new Error(`a forged state was taken: ${JSON.stringify(answer)}`);
  }
}
