/**
 * Judges an upstream's answer to a POST: it answers the requests, refuses them, or may say that the
 * upstream's session is lost. No other code decides that. docs/mcp.md has it as a table.
 */
import type { Failure } from "../contract.ts";
import {
  messagesIn,
  requestMeant,
  RPC_CODES,
  withId,
  type Message,
  type RequestId,
  type WrittenMessage,
} from "../json-rpc.ts";
import { FAILURES } from "./failure.ts";
import type { Upstream } from "./upstream.ts";

/** Headers of the upstream's that go to the client. */
export type KeptHeaders = Readonly<Record<string, string>>;

/** An answer that was read whole. */
export interface Heard {
  readonly status: number;
  /** Its JSON; undefined where it is none. The messages of a stream are an array. */
  readonly text: string | undefined;
  readonly retryAfter: string | null;
  readonly challenge: string | null;
}

export interface Question {
  /** The requests that were sent. */
  readonly pending: readonly RequestId[];
  /** Whether it was sent under an upstream session that may be lost: no ping has settled that yet. */
  readonly mayBeLost: boolean;
  /** Whether a server of the stateless era may have taken the place of the one that the session was made with. */
  readonly mayChange?: boolean;
  /** Unless it is false, the body was sent with the client's own credential. */
  readonly forwardAuthorization: Upstream["forwardAuthorization"];
}

export type Settled =
  /** The body had notifications and responses only, and the upstream accepted them. */
  | { readonly kind: "accepted" }
  /** The error among these messages, if there is one, has the client's own id. */
  | {
      readonly kind: "answer";
      readonly status: number;
      readonly messages: readonly WrittenMessage[];
      readonly headers?: KeptHeaders;
      /** Whether a server of the stateless era said it. */
      readonly bridged?: boolean;
    }
  | { readonly kind: "failed"; readonly failure: Failure; readonly status: number };

export type Meaning =
  | Settled
  /** The session may be lost, which a ping settles. `otherwise` is the meaning where it lives. */
  | { readonly kind: "doubt"; readonly otherwise: Settled };

export function meaningOf(question: Question, heard: Heard): Meaning {
  const { pending, mayBeLost, mayChange = false } = question;
  const { status } = heard;
  const isOk = status >= 200 && status < 300;
  if (isOk && pending.length === 0) return { kind: "accepted" };
  // A redirect's body is no answer: `call` has followed those that may be followed.
  if (status >= 300 && status < 400) return failed(heard);
  const messages = heard.text === undefined ? [] : messagesIn(heard.text);
  // An error can answer requests alone: where there is none, it is a refusal.
  const error =
    pending.length === 0
      ? undefined
      : messages.find(({ message }) => message.kind === "response" && message.error);
  const kept = keptOf(question, heard);
  if (kept) {
    if (error) return { ...answered(pending, error), status, headers: kept };
    return { kind: "failed", failure: { ...FAILURES.refused, status, headers: kept }, status };
  }
  if (mayChange && error && isOfOtherEra(error)) {
    return { kind: "doubt", otherwise: answered(pending, error) };
  }
  const hasAnswer = messages.some(({ message }) => answersOneOf(pending, message));
  if (hasAnswer && isOk) return { kind: "answer", status: 200, messages };
  if (hasAnswer && status !== 401 && !mayBeAboutSession(heard, error?.message)) {
    const isOneError = error !== undefined && messages.length === 1;
    return isOneError ? answered(pending, error) : { kind: "answer", status: 200, messages };
  }
  if (isOk && !error) return { kind: "failed", failure: FAILURES.broken, status };
  // A 401 is about the gateway's own secret here, and its words are not for the client.
  const otherwise = error && status !== 401 ? answered(pending, error) : failed(heard);
  const isDoubtful = mayBeLost && (isOk || mayMeanLost(status));
  return isDoubtful ? { kind: "doubt", otherwise } : otherwise;
}

/** Whether a message is an error that answers none of these requests: it is about no request at all. */
export function isAboutNothing(asked: readonly RequestId[], message: Message): boolean {
  if (message.kind !== "response" || !message.error) return false;
  return message.id === undefined || requestMeant(message.id, asked, asked) === undefined;
}

/** An error as the answer to this request. */
function errorFor(id: RequestId, { text, message }: WrittenMessage): WrittenMessage {
  if (message.kind !== "response" || message.id === id) return { text, message };
  return { text: withId(text, id), message: { ...message, id } };
}

/**
 * The meaning of a stream's message while the `open` requests wait. An error without an id answers the
 * only open request. If there are several, it could answer any of them, and stays as it is.
 */
export function meantFor(open: readonly RequestId[], said: WrittenMessage): WrittenMessage {
  const { message } = said;
  const [only, ...more] = open;
  const names = message.kind !== "response" || !message.error || message.id !== undefined;
  return names || only === undefined || more.length > 0 ? said : errorFor(only, said);
}

/** The error as the answer to each of these requests. */
function answered(
  pending: readonly RequestId[],
  error: WrittenMessage,
): Extract<Settled, { kind: "answer" }> {
  return { kind: "answer", status: 200, messages: pending.map((id) => errorFor(id, error)) };
}

/**
 * Whether a server may say this status of a session that it does not know. Servers say 400, 404 and 410
 * of one, and 401, 409, 412, 422 and 440 too. This leaves out the statuses about payment, and about the
 * method, the media type, the time, the form or the size of one request.
 */
export function mayMeanLost(status: number): boolean {
  return status >= 400 && status < 500 && !OF_ONE_REQUEST.includes(status);
}

const OF_ONE_REQUEST: readonly number[] = [
  402, 403, 405, 406, 407, 408, 411, 413, 414, 415, 416, 417, 429, 431,
];

/** The headers of a refusal that is for the client as it is; undefined where it is none. */
function keptOf({ forwardAuthorization }: Question, heard: Heard): KeptHeaders | undefined {
  const { status, retryAfter, challenge } = heard;
  const forwards = forwardAuthorization !== false;
  const isAboutCredential = status === 403 || (status === 401 && forwards);
  if (!isAboutCredential && status !== 429 && status !== 503) return undefined;
  return {
    ...(retryAfter !== null && { "retry-after": retryAfter }),
    ...(forwards && challenge !== null && { "www-authenticate": challenge }),
  };
}

function answersOneOf(pending: readonly RequestId[], message: Message): boolean {
  if (message.kind !== "response" || message.id === undefined) return false;
  return requestMeant(message.id, pending, pending) !== undefined;
}

/** Whether a server says that it does not speak the revision of this request at all. */
function isOfOtherEra({ message }: WrittenMessage): boolean {
  return message.kind === "response" && message.error?.["code"] === RPC_CODES.unsupportedVersion;
}

const SESSION_CODES: readonly unknown[] = [
  RPC_CODES.serverError,
  RPC_CODES.sessionNotFound,
  RPC_CODES.invalidRequest,
  RPC_CODES.invalidParams,
  RPC_CODES.internalError,
];

/**
 * Whether an error that names the request may be about the session all the same: some servers, and
 * this gateway, put the request's id in it. A tool's own words may sound like that too.
 */
function mayBeAboutSession({ status }: Heard, message: Message | undefined): boolean {
  if (!mayMeanLost(status) || message?.kind !== "response" || !message.error) return false;
  const { code, message: words } = message.error;
  if (status === 404 && code === RPC_CODES.sessionNotFound) return true;
  return SESSION_CODES.includes(code) && /session|initiali[sz]/i.test(String(words));
}

function failed({ status }: Heard): Settled {
  return { kind: "failed", failure: FAILURES.refused, status };
}
