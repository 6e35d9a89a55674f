/**
 * The wire of MCP 2026-07-28, as far as both directions of the bridge need it: the keys of `_meta`, the
 * headers, the error codes and the capabilities that a server's questions need. Pure.
 */
import { isObject } from "../../wire/json.ts";
import { FIRST_STATELESS, VERSION_META_KEY } from "../versions.ts";

/** The version that the bridge speaks of the stateless era. */
export const MODERN_VERSION = FIRST_STATELESS;

/**
 * Begins the id that a bridged session has for its upstream's session: a server of the stateless era gives none.
 * The session stores it as it stores the id of a server, so an object that has lost its memory still knows of the bridge.
 */
const BRIDGED = "holdfast-bridge-";

export function newBridgedSid(): string {
  return BRIDGED + crypto.randomUUID();
}

export function isBridgedSid(sid: string | undefined): boolean {
  return sid?.startsWith(BRIDGED) ?? false;
}

/** Keys of `_meta` (2026-07-28, "Request metadata"). */
export const META = {
  version: VERSION_META_KEY,
  clientInfo: "io.modelcontextprotocol/clientInfo",
  clientCapabilities: "io.modelcontextprotocol/clientCapabilities",
  logLevel: "io.modelcontextprotocol/logLevel",
  serverInfo: "io.modelcontextprotocol/serverInfo",
  subscriptionId: "io.modelcontextprotocol/subscriptionId",
} as const;

/** The codes of 2026-07-28 that earlier revisions lack. */
export const MODERN_CODES = {
  headerMismatch: -32020,
  missingCapability: -32021,
  unsupportedVersion: -32022,
} as const;

export const METHOD_NOT_FOUND = -32601;

/** Names of headers, in lower case. */
export const MODERN_HEADERS = {
  version: "mcp-protocol-version",
  method: "mcp-method",
  name: "mcp-name",
  /** Before the name that a tool's schema gives (`x-mcp-header`). */
  param: "mcp-param-",
} as const;

export const DISCOVER = "server/discover";
export const LISTEN = "subscriptions/listen";
export const ACKNOWLEDGED = "notifications/subscriptions/acknowledged";

/** The member of `params` that `Mcp-Name` repeats, by the method. */
const NAMED: ReadonlyMap<string, string> = new Map([
  ["tools/call", "name"],
  ["prompts/get", "name"],
  ["resources/read", "uri"],
  ["tasks/get", "taskId"],
  ["tasks/update", "taskId"],
  ["tasks/cancel", "taskId"],
]);

/** The value that `Mcp-Name` must have, not yet encoded; undefined where the method has no such header. */
export function nameIn(method: string, params: unknown): string | undefined {
  const member = NAMED.get(method);
  const value = member !== undefined && isObject(params) ? params[member] : undefined;
  return typeof value === "string" ? value : undefined;
}

/** Methods that may be answered with `input_required`. */
export const ASKING_METHODS: ReadonlySet<string> = new Set([
  "tools/call",
  "prompts/get",
  "resources/read",
]);

/** Methods whose results carry `ttlMs` and `cacheScope`. */
export const CACHED_METHODS: ReadonlySet<string> = new Set([
  DISCOVER,
  "tools/list",
  "prompts/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
]);

const PLAIN = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const WRAPPED = /^=\?base64\?(.*)\?=$/s;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** A text as a header may hold it: as it is, or as `=?base64?…?=` where a header could not hold it so. */
export function encodedHeader(text: string): string {
  if (PLAIN.test(text) && !WRAPPED.test(text)) return text;
  const bytes = new TextEncoder().encode(text);
  const chars = Array.from(bytes, (byte) => String.fromCharCode(byte));
  return `=?base64?${btoa(chars.join(""))}?=`;
}

/** The text in a header; undefined where it is not well encoded. */
export function decodedHeader(value: string): string | undefined {
  const text = value.trim();
  const base64 = WRAPPED.exec(text)?.[1];
  if (base64 === undefined) return text;
  if (!BASE64.test(base64)) return undefined;
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
}

type Capabilities = Readonly<Record<string, unknown>>;

/** The client's capabilities that a server's question needs; undefined where no client answers such a method. */
export function neededFor(method: string, params: unknown): Capabilities | undefined {
  const given = isObject(params) ? params : {};
  switch (method) {
    case "elicitation/create":
      return { elicitation: given["mode"] === "url" ? { url: {} } : { form: {} } };
    case "sampling/createMessage": {
      const hasTools = given["tools"] !== undefined || given["toolChoice"] !== undefined;
      return { sampling: hasTools ? { tools: {} } : {} };
    }
    case "roots/list":
      return { roots: {} };
    default:
      return undefined;
  }
}

/** Whether a server may ask the client of such a request. */
export function mayBeAsked(request: {
  readonly method: string;
  readonly capabilities: Capabilities;
}): boolean {
  const { method, capabilities } = request;
  if (!ASKING_METHODS.has(method)) return false;
  return ["elicitation", "sampling", "roots"].some((name) => isObject(capabilities[name]));
}

/**
 * The part of `needed` that a client has not declared; undefined where it has all. An `elicitation` that
 * names no mode means forms, as it did before there were others.
 */
export function missingIn(declared: unknown, needed: Capabilities): Capabilities | undefined {
  const missing = Object.entries(needed).flatMap(([name, members]) => {
    const has = isObject(declared) ? declared[name] : undefined;
    if (!isObject(has)) return [[name, members] as const];
    const isOldForm = name === "elicitation" && !("form" in has) && !("url" in has);
    const left = Object.entries(isObject(members) ? members : {}).filter(
      ([member]) => has[member] === undefined && !(isOldForm && member === "form"),
    );
    return left.length > 0 ? [[name, Object.fromEntries(left)] as const] : [];
  });
  return missing.length > 0 ? Object.fromEntries(missing) : undefined;
}
