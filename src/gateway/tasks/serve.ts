/**
 * Serves what the Tasks extension adds to the stateless revision, in front of an upstream that does not: it
 * offers tasks, has long calls become some, and answers the requests about them. Any other request goes on as
 * without tasks, and pays nothing.
 */
import { SessionNotFoundError } from "../../core/errors.ts";
import { parseSessionId, type SessionId } from "../../core/id.ts";
import { isOfType, JSON_TYPES } from "../../http/body.ts";
import { STREAM_HEADERS } from "../../http/problem.ts";
import { memberText, membersOf } from "../../wire/json-text.ts";
import { jsonResponse, Refused } from "../answers.ts";
import type { GatewaySessions } from "../contract.ts";
import { principalOf } from "../eras/era-session.ts";
import { problemOf } from "../eras/modern-request.ts";
import { speaks } from "../eras/speaks.ts";
import { LISTEN, MODERN_CODES } from "../eras/wire.ts";
import { RPC_CODES, type RequestId } from "../json-rpc.ts";
import type { GatewayCall } from "../request.ts";
import { forwardedHeaders } from "../request.ts";
import { keptAlive, statelessHeaders } from "../stateless.ts";
import { isModernVersion } from "../versions.ts";
import type { TaskAnswer } from "./contract.ts";
import { listen } from "./listen.ts";
import { isKnownToOffer, offersItself, withOffer } from "./offer.ts";
import { ownerOf } from "./owner.ts";
import { TASKS_EXTENSION, type TaskRequest } from "./request.ts";
import { responseIn, withoutTask } from "./text.ts";

interface Posted {
  readonly body: string;
  readonly id?: RequestId;
  readonly tasks?: TaskRequest;
}

/** Sends a body on as it would be without tasks. */
type PassOn = (body: string) => Promise<Response>;

type Call = TaskRequest & { readonly kind: "call" };
type Verb = TaskRequest & { readonly kind: "verb" };

export async function serveWithTasks(
  call: GatewayCall,
  { body, id, tasks }: Posted,
  passOn: PassOn,
): Promise<Response> {
  const { upstream } = call;
  if (!upstream.tasks || !tasks || id === undefined) return passOn(body);
  if (tasks.kind === "discover") return withOffer(upstream, await passOn(body));
  if (tasks.kind === "removed") {
    if ((await offersItself(call)) !== false) return passOn(body);
    throw new Refused(404, "Method not found", RPC_CODES.methodNotFound);
  }
  if (!tasks.declares) {
    if (tasks.kind === "call" && !isRequired(call, tasks)) {
      return passOn(tasks.hasTask ? withoutTask(body) : body);
    }
    throw missingCapability();
  }
  if (isKnownToOffer(upstream)) {
    const response = await passOn(body);
    if (tasks.kind !== "verb" || !(await isAboutParams(response))) return response;
    // The upstream may not always have offered tasks: one from before is kept here.
    return (await isKept(call, tasks)) ? answerVerb(call, body, id, tasks, passOn) : response;
  }
  switch (tasks.kind) {
    case "call":
      if ((await offersItself(call)) !== false) return passOn(body);
      return carry(call, body, id, tasks);
    case "verb":
      return answerVerb(call, body, id, tasks, passOn);
    case "listen":
      if (await offersItself(call)) return passOn(body);
      check(call, LISTEN, tasks.params);
      return listen(call, { body, id, notifications: tasks.notifications }, passOn);
  }
}

function isRequired({ upstream }: GatewayCall, { tool }: Call): boolean {
  return typeof tool === "string" && (upstream.tasks?.required.includes(tool) ?? false);
}

function missingCapability(): Refused {
  const requiredCapabilities = { extensions: { [TASKS_EXTENSION]: {} } };
  const message = "Missing required client capability";
  const code = MODERN_CODES.missingCapability;
  return new Refused(400, message, code, {}, { requiredCapabilities });
}

async function sessionsOf(call: GatewayCall): Promise<GatewaySessions> {
  return call.parts.host.as(await ownerOf(call));
}

/** A tool call goes to an object that keeps it if it takes long. */
async function carry(
  call: GatewayCall,
  body: string,
  id: RequestId,
  { tool }: Call,
): Promise<Response> {
  const { upstream, parts, request } = call;
  const sessions = await sessionsOf(call);
  // Nobody can guess it: 122 bits of chance.
  const taskId = crypto.randomUUID() as string as SessionId;
  const headers = statelessHeaders(call);
  const name = typeof tool === "string" ? tool : "";
  const principal = await principalOf(call);
  const isBridged = speaks(upstream, "modern") === false;
  const ask = {
    kind: "call",
    upstream: upstream.name,
    body,
    id,
    tool: name,
    headers,
    owner: principal,
    ...(isBridged && { principal }),
  } as const;
  const leave = (): void => {
    const told = sessions.task(taskId, { kind: "leave", upstream: upstream.name });
    parts.waitUntil?.(told.catch(() => undefined));
  };
  request.signal.addEventListener("abort", leave, { once: true });
  const answer = await sessions.task(taskId, ask).finally(() => {
    request.signal.removeEventListener("abort", leave);
  });
  switch (answer.kind) {
    case "whole":
      return new Response(isEmpty(answer.body) ? null : answer.body, {
        status: answer.status,
        headers: { "cache-control": "no-store", ...answer.headers },
      });
    case "stream": {
      const reader = answer.body.getReader();
      const leave = (): void => undefined;
      return new Response(keptAlive(reader, leave, parts.config.keepaliveMs), {
        headers: STREAM_HEADERS,
      });
    }
    case "failed":
      throw Refused.as(answer.failure);
    default:
      throw new TypeError(`a call was answered with ${answer.kind}`);
  }
}

/** Some statuses take no body, not even an empty one. */
function isEmpty(body: string | ArrayBuffer | Uint8Array): boolean {
  return (typeof body === "string" ? body.length : body.byteLength) === 0;
}

async function answerVerb(
  call: GatewayCall,
  body: string,
  id: RequestId,
  { method, verb, params }: Verb,
  passOn: PassOn,
): Promise<Response> {
  check(call, method, params);
  const { taskId } = params;
  // No header can repeat anything else.
  if (typeof taskId !== "string") {
    throw new Refused(400, "taskId must be a text, as Mcp-Name is", MODERN_CODES.headerMismatch);
  }
  const upstream = call.upstream.name;
  const ask =
    verb === "update"
      ? ({
          kind: verb,
          upstream,
          answers: answersIn(body),
          headers: forwardedHeaders(call),
        } as const)
      : ({ kind: verb, upstream } as const);
  const answer = await askTask(call, taskId, ask);
  if (!answer) {
    // An upstream that is down must not keep the tasks that are kept here, so it is asked last.
    if ((await offersItself(call)) !== false) return passOn(body);
    throw noSuchTask(call);
  }
  const rest = answer.kind === "task" ? answer.text.slice(1) : "}";
  const result = `{"resultType":"complete"${rest === "}" ? "" : ","}${rest}`;
  return jsonResponse(200, `{"jsonrpc":"2.0","id":${id},"result":${result}}`);
}

/** Whether an answer is the error for parameters, which is that for an unknown task. */
async function isAboutParams(response: Response): Promise<boolean> {
  if (!isOfType(response.headers.get("content-type"), JSON_TYPES)) return false;
  const message = responseIn(await response.clone().text())?.message;
  return message?.kind === "response" && message.error?.["code"] === RPC_CODES.invalidParams;
}

async function isKept(call: GatewayCall, { params: { taskId } }: Verb): Promise<boolean> {
  const ask = { kind: "get", upstream: call.upstream.name } as const;
  return typeof taskId === "string" && (await askTask(call, taskId, ask)) !== undefined;
}

function noSuchTask({ upstream }: GatewayCall): Refused {
  const seconds = (upstream.tasks?.ttlMs ?? 0) / 1000;
  const ends = `a task ends ${seconds} s after it was made (tasks.ttlSeconds)`;
  return new Refused(200, `There is no such task; ${ends}`, RPC_CODES.invalidParams);
}

/** Undefined: the caller has no such task here. */
async function askTask(
  call: GatewayCall,
  taskId: string,
  ask: Parameters<GatewaySessions["task"]>[1],
): Promise<TaskAnswer | undefined> {
  const sessionId = parseSessionId(taskId);
  // The gateway gives out one spelling of an id, and takes no other back.
  if (sessionId === undefined || sessionId !== taskId) return undefined;
  try {
    return await (await sessionsOf(call)).task(sessionId, ask);
  } catch (failure) {
    if (failure instanceof SessionNotFoundError) return undefined;
    throw failure;
  }
}

function invalid(message: string): Refused {
  return new Refused(400, message, RPC_CODES.invalidParams);
}

/** The answers of a client as JSON, by key. */
function answersIn(body: string): Readonly<Record<string, string>> {
  const answers = membersOf(memberText(memberText(body, "params") ?? "", "inputResponses"));
  if (!answers) throw invalid("inputResponses must be an object");
  const wrong = Object.keys(answers).find((key) => !answers[key]?.startsWith("{"));
  if (wrong !== undefined) throw invalid("each of inputResponses must be an object");
  return answers;
}

/** Refuses a request whose `_meta` is wrong, or whose headers differ from its body. Later versions pass, as they do without tasks. */
function check(
  { request }: GatewayCall,
  method: string,
  params: Readonly<Record<string, unknown>>,
): void {
  const problem = problemOf(method, params, request.headers, isModernVersion);
  if (problem) throw new Refused(400, problem.message, problem.code, {}, problem.data);
}
