/** Serves a client of the stateless revision by a server of the revisions with sessions. */
import { SessionNotFoundError } from "../../core/errors.ts";
import { MAX_ERA_SESSIONS } from "../../core/limits.ts";
import { STREAM_HEADERS } from "../../http/problem.ts";
import { encodeFrame, MESSAGE_EVENT } from "../../wire/sse-frame.ts";
import { watched } from "../../wire/bytes.ts";
import { rpcError, withId } from "../json-rpc.ts";
import { jsonResponse, Refused } from "../answers.ts";
import type { EraTask, ExchangeAnswer } from "../contract.ts";
import type { GatewayCall } from "../request.ts";
import { FAILURES } from "../upstream/failure.ts";
import { taskCallId } from "./task-call-id.ts";
import { passThrough } from "../stateless.ts";
import { carry, eraSessionOf, inEraSession, NotMade, type EraSession } from "./era-session.ts";
import { filterOf, listen } from "./listen.ts";
import { FIRST_SLOT, isNumbered, poolOf, slotsFor } from "./slots.ts";
import { learn, learnAside } from "./speaks.ts";
import { LISTEN, mayBeAsked } from "./wire.ts";
import { stateRefused, UNKNOWN_STATE } from "./modern-answer.ts";
import { readModern, type ModernRequest } from "./modern-request.ts";

/**
 * `otherwise` gives another answer, or none, where the request is not well formed or the upstream opens no session.
 * `task`: the request is about the call of a task.
 */
export async function bridged(
  call: GatewayCall,
  body: string,
  otherwise?: () => Promise<Response | undefined>,
  task?: EraTask,
): Promise<Response> {
  const read = readModern(body, call.request.headers);
  if (read.kind === "refused") {
    return (await otherwise?.()) ?? jsonResponse(read.status, read.body);
  }
  if (read.kind === "notification") return new Response(null, { status: 202 });
  try {
    return await answer(call, read, body, task);
  } catch (failure) {
    if (!(failure instanceof NotMade)) throw failure;
    const other = await otherwise?.();
    if (other) return other;
    const { answer: given } = failure;
    if (given.kind === "failed") throw Refused.as(given.failure);
    return jsonResponse(given.status, withId(given.body, read.id), given.headers);
  }
}

async function answer(
  call: GatewayCall,
  request: ModernRequest,
  body: string,
  task: EraTask | undefined,
): Promise<Response> {
  if (request.method === LISTEN) {
    const filter = filterOf(request);
    const session = await eraSessionOf(call, request);
    return inSession(call, session, () => listen(call, session, request, filter));
  }
  const given = await inSomeSlot(call, request, task);
  // A session that another isolate has made shows it as well. That one has it remembered.
  const isServed = given.kind === "flow" || (given.kind === "json" && given.status === 200);
  if (isServed) learn(call.upstream, "modern", false);
  switch (given.kind) {
    case "json":
      return jsonResponse(given.status, given.body, given.headers);
    case "failed":
      throw Refused.as(given.failure);
    case "flow":
      return new Response(given.body, { headers: STREAM_HEADERS });
    case "unbridged":
      if (!isNew(task)) throw Refused.as(FAILURES.interrupted);
      return unbridged(call, body);
    case "busy":
      if (isNew(task)) throw new Refused(429, ALL_TAKEN);
      return interrupted(request);
    default:
      throw new TypeError(`${given.kind} answers the revisions with sessions alone`);
  }
}

const ALL_TAKEN = `The caller has ${MAX_ERA_SESSIONS} calls under way in which the upstream may ask`;

/** Carries a request in the first slot that takes it. A call that was sent before is in one of them, or lost. */
async function inSomeSlot(
  call: GatewayCall,
  request: ModernRequest,
  task: EraTask | undefined,
): Promise<ExchangeAnswer> {
  const id = task ? taskCallId(task.id) : JSON.stringify(crypto.randomUUID());
  const began = Date.now();
  const { upstream, parts } = call;
  if (mayBeAsked(request)) await parts.memory?.recallAside(upstream);
  const first = await eraSessionOf(call, request);
  const pool = poolOf(first.id);
  for (const slot of slotsFor(request.requestState, task?.id, pool)) {
    const session = slot === FIRST_SLOT ? first : await eraSessionOf(call, request, slot);
    const ask = () => carry(call, session, request, id, task && since(began, task));
    // A question in another slot than the first is of a session that is there, or of none.
    const mayMake = isNew(task) && (!slot || request.requestState === undefined);
    const carried = mayMake ? inSession(call, session, ask) : ask().catch(notThere);
    const over = () => pool.giveBack(slot);
    const given = await (isNumbered(slot) ? whenOver(carried, over) : carried);
    if (given.kind === "busy" && given.server !== undefined) learnAside(upstream, given.server);
    await parts.memory?.rememberAside(upstream);
    if (given.kind !== "busy") return given;
  }
  if (!isNew(task) || request.requestState === undefined) return { kind: "busy" };
  return { kind: "json", status: 200, body: stateRefused(UNKNOWN_STATE, request.id) };
}

/** The task, `afterMs` less the time since `began`: to make a session may take longer than that. */
function since(began: number, task: EraTask): EraTask {
  return { ...task, afterMs: Math.max(0, task.afterMs - (Date.now() - began)) };
}

/** Calls `over` once the answer has ended, or there is none; not where the slot is taken. */
async function whenOver(
  carried: Promise<ExchangeAnswer>,
  over: () => void,
): Promise<ExchangeAnswer> {
  const given = await carried.catch((failure: unknown) => {
    over();
    throw failure;
  });
  if (given.kind === "flow") return { ...given, body: watched(given.body, over) };
  if (given.kind !== "busy") over();
  return given;
}

/** Ends the call of a task that is in no slot, as a stream: only that is the rest of a stream. */
function interrupted({ id }: ModernRequest): Response {
  const { code, message } = FAILURES.interrupted;
  const body = encodeFrame({ event: MESSAGE_EVENT, data: rpcError(code, message, id) });
  return new Response(body, { headers: STREAM_HEADERS });
}

function notThere(failure: unknown): ExchangeAnswer {
  if (failure instanceof SessionNotFoundError) return { kind: "busy" };
  throw failure;
}

/** Whether the request is sent to the upstream, and not about one that was sent before. */
function isNew(task: EraTask | undefined): boolean {
  return !task || task.verb === "call";
}

/** The upstream was learnt to keep sessions, and has become one of the client's own revision. */
async function unbridged(call: GatewayCall, body: string): Promise<Response> {
  const { upstream, parts } = call;
  if (learn(upstream, "modern", true)) await parts.memory?.remember(upstream);
  return passThrough(call, body);
}

/** Does `work` in the session. To make it shows that the upstream keeps sessions. */
function inSession<T>(
  { upstream, parts }: GatewayCall,
  session: EraSession,
  work: () => Promise<T>,
): Promise<T> {
  return inEraSession(session, work, async () => {
    learn(upstream, "legacy", true);
    if (learn(upstream, "modern", false)) await parts.memory?.remember(upstream);
  });
}
