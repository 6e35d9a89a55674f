/** JSON-RPC 2.0 messages as MCP uses them, and the gateway's own errors. */
import { ERROR_KINDS } from "../core/errors.ts";
import { hasTooManyValues } from "../core/json-bounds.ts";
import { isObject, parseJson } from "../wire/json.ts";
import { elementTexts, memberText, withMember } from "../wire/json-text.ts";

/**
 * An id as its sender wrote it, in JSON: `7`, `"7"`, `9007199254740993`. As a number it could lose
 * digits, and its sender would not know it again.
 */
export type RequestId = string;

export type Message =
  | { readonly kind: "request"; readonly id: RequestId; readonly method: string }
  | { readonly kind: "notification"; readonly method: string }
  | {
      readonly kind: "response";
      readonly id: RequestId | undefined;
      /** Set if the request failed. */
      readonly error?: Readonly<Record<string, unknown>>;
    };

/** The codes in the gateway's own errors, from JSON-RPC 2.0 and ToolHive (-32001). */
export const RPC_CODES = {
  parseError: -32700,
  invalidRequest: -32600,
  methodNotFound: -32601,
  invalidParams: -32602,
  internalError: -32603,
  serverError: -32000,
  /** MCP 2026-07-28: the data name the versions that are supported. */
  unsupportedVersion: -32022,
  sessionNotFound: ERROR_KINDS.session_not_found.jsonRpcCode,
} as const;

/** Reads a JSON value as a message; `text` is what it was parsed from. Undefined if it is not one. */
export function messageOf(value: unknown, text: string): Message | undefined {
  if (!isObject(value) || value["jsonrpc"] !== "2.0") return undefined;
  const { method } = value;
  const id = requestIdOf(value["id"], () => memberText(text, "id"));
  if (typeof method === "string") {
    if (!("id" in value)) return { kind: "notification", method };
    return id === undefined ? undefined : { kind: "request", id, method };
  }
  const error = isObject(value["error"]) ? value["error"] : undefined;
  if (!error) return "result" in value && id !== undefined ? { kind: "response", id } : undefined;
  // An error about a request that could not be parsed has no id, or the id null.
  const isAboutNothing = value["id"] === null || value["id"] === undefined;
  return id !== undefined || isAboutNothing ? { kind: "response", id, error } : undefined;
}

/** The id in a JSON value; `written` finds it in the text of that. Undefined where it is no id. */
export function requestIdOf(id: unknown, written: () => string | undefined): RequestId | undefined {
  if (typeof id === "string") return JSON.stringify(id);
  return typeof id === "number" && Number.isFinite(id) ? written() : undefined;
}

export interface WrittenMessage {
  readonly message: Message;
  /** As it was written. */
  readonly text: string;
}

/**
 * The messages in a text: one, or several in an array. Other values are left out. A text of too many
 * values to be parsed is not validated either: its result is passed on, and never looked into.
 */
export function messagesIn(text: string): WrittenMessage[] {
  if (hasTooManyValues(text)) {
    const isArray = text.trimStart().startsWith("[");
    return (isArray ? elementTexts(text) : [text]).flatMap((one) => writtenMessage(one) ?? []);
  }
  const value = parseJson(text);
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  const texts = Array.isArray(value) ? elementTexts(text) : [text];
  return values.flatMap((one, n) => {
    const written = texts[n] ?? "";
    const message = messageOf(one, written);
    return message ? [{ message, text: written }] : [];
  });
}

/** The text of the request with this id in a body. */
export function requestIn(body: string, id: RequestId): string | undefined {
  const isMeant = ({ message }: WrittenMessage) => message.kind === "request" && message.id === id;
  return messagesIn(body).find(isMeant)?.text;
}

function writtenMessage(text: string): WrittenMessage | undefined {
  const message = messageOf(hasTooManyValues(text) ? outlineOf(text) : parseJson(text), text);
  return message && { message, text };
}

/** The members by which `messageOf` recognises a message, without large ones, the result and the parameters. */
function outlineOf(text: string): unknown {
  const outline: Record<string, unknown> = {};
  for (const name of ["jsonrpc", "id", "method", "result", "error"]) {
    const member = memberText(text, name);
    if (member === undefined) continue;
    if (!hasTooManyValues(member)) outline[name] = name === "result" ? null : parseJson(member);
    else if (name === "error") outline[name] = errorOutline(member);
    else outline[name] = null;
  }
  return outline;
}

/** An error without its data. */
function errorOutline(text: string): unknown {
  const valueOf = (name: string) => parseJson(memberText(text, name) ?? "");
  return memberText(text, "code") && { code: valueOf("code"), message: valueOf("message") };
}

/** The requests and notifications in an event that came with no call under way. A response there answers nobody. */
export function unaskedIn(text: string): string[] {
  const unasked = messagesIn(text).filter(({ message }) => message.kind !== "response");
  return unasked.map((message) => message.text);
}

/**
 * Finds the request among `open` that an answer with this id belongs to. Some servers turn 7 into "7",
 * or round it. So if no id is the same, an id counts too that only one request can have become. `asked`
 * also has the requests that were answered already: a second answer to one of them belongs to no other.
 *
 * @example requestMeant('"7"', ["7", "8"], ["7", "8"]) // "7"
 */
export function requestMeant(
  id: RequestId,
  asked: readonly RequestId[],
  open: readonly RequestId[],
): RequestId | undefined {
  if (open.includes(id)) return id;
  if (asked.includes(id)) return undefined;
  const [equal, ...moreEqual] = open.filter((one) => JSON.parse(one) === JSON.parse(id));
  if (equal !== undefined) return moreEqual.length === 0 ? equal : undefined;
  const [alike, ...moreAlike] = open.filter((one) => areAlike(one, id));
  return moreAlike.length === 0 ? alike : undefined;
}

const NUMBER = /^-?\d+(\.\d+)?([eE][+-]?\d+)?$/;

/** Whether one id is a number and the other a string with the same number. */
function areAlike(one: RequestId, other: RequestId): boolean {
  const [a, b] = [JSON.parse(one), JSON.parse(other)] as [string | number, string | number];
  if (typeof a === typeof b) return false;
  return NUMBER.test(String(a)) && NUMBER.test(String(b)) && Number(a) === Number(b);
}

/**
 * The methods that do no harm when they run twice. The list is complete: a method that is not in
 * it may do anything.
 */
const HARMLESS: readonly string[] = [
  "initialize",
  "ping",
  "server/discover",
  "tools/list",
  "prompts/list",
  "prompts/get",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "resources/subscribe",
  "resources/unsubscribe",
  "logging/setLevel",
];

/** Whether a body may run twice. Notifications and responses may not: a repeat would be a second message. */
export function isHarmless(body: string): boolean {
  const value = parseJson(body);
  const all: readonly unknown[] = Array.isArray(value) ? value : [value];
  // A server may read more as a message than this gateway does.
  const messages = messagesIn(body);
  if (all.length === 0 || messages.length < all.length) return false;
  return messages.every(
    ({ message }) => message.kind === "request" && HARMLESS.includes(message.method),
  );
}

/** The message with this id, every other byte as it was. */
export function withId(text: string, id: RequestId): string {
  return withMember(text, "id", id);
}

/** An error response. Without an `id`, it has none: MCP does not allow null. `data` is JSON. */
export function rpcError(code: number, message: string, id?: RequestId, data?: unknown): string {
  const error = JSON.stringify({ code, message, data });
  return `{"jsonrpc":"2.0",${id === undefined ? "" : `"id":${id},`}"error":${error}}`;
}
