/**
 * Decides which MCP era a POST belongs to, and whether it is an initialize, an exchange or an error.
 * It sees the body and one header, and no session. The body decides first, because a stateless request must never
 * touch a session, whatever its headers say.
 */
import { MAX_REQUEST_ID_LENGTH } from "../core/limits.ts";
import { isObject } from "../wire/json.ts";
import { elementTexts, memberText } from "../wire/json-text.ts";
import { messageOf, requestIdOf, RPC_CODES, type RequestId } from "./json-rpc.ts";
import { taskRequestIn, type TaskRequest } from "./tasks/request.ts";
import { isModernVersion, isSessionVersion, VERSION_META_KEY } from "./versions.ts";

export { VERSION_META_KEY } from "./versions.ts";

/** The body of a POST. */
export interface Posted {
  /** As it was sent. */
  readonly body: string;
  /** The same, parsed. */
  readonly value: unknown;
}

export type Verdict =
  /** A message of the stateless era, which is passed through untouched. */
  | {
      readonly kind: "stateless";
      readonly id?: RequestId;
      /** The part that tasks play in it; absent: none. */
      readonly tasks?: TaskRequest;
    }
  | { readonly kind: "initialize"; readonly id: RequestId }
  | {
      readonly kind: "exchange";
      readonly batch: boolean;
      /** Ids of its requests, in order. */
      readonly pending: readonly RequestId[];
      /** Ids of requests that it cancels. */
      readonly cancels: readonly RequestId[];
      /** The answer unless the session agreed on the version in the header. */
      readonly refusal?: VersionRefusal;
    }
  /** HTTP 400. */
  | {
      readonly kind: "refused";
      readonly code: number;
      readonly message: string;
      readonly id?: RequestId;
    };

/** The refusal of a version that the session did not agree on. */
export interface VersionRefusal {
  readonly version: string;
  readonly code: number;
  readonly message: string;
}

/** The id for an error that answers the POST. A batch has no id of its own. */
export function idOf(verdict: Verdict): RequestId | undefined {
  if (verdict.kind !== "exchange") return verdict.id;
  return verdict.batch ? undefined : verdict.pending[0];
}

/**
 * `version` is the value of the header `MCP-Protocol-Version`.
 *
 * @example
 * const body = '{"jsonrpc": "2.0", "id": 1, "method": "ping"}';
 * classify({ body, value: JSON.parse(body) }, "2025-11-25").kind; // "exchange"
 */
export function classify({ body, value }: Posted, version: string | undefined): Verdict {
  if (Array.isArray(value)) return classifyBatch(value, elementTexts(body), version);
  const message = messageOf(value, body);
  const id = message?.kind === "request" ? message.id : undefined;
  if (id !== undefined && isTooLong(id)) return refused(RPC_CODES.invalidRequest, ID_TOO_LONG);
  if (claimsStateless(value)) {
    const tasks = id === undefined ? undefined : taskRequestIn(value);
    return { kind: "stateless", ...(id !== undefined && { id }), ...(tasks && { tasks }) };
  }
  if (!message)
    return refused(RPC_CODES.invalidRequest, "Not a JSON-RPC 2.0 message", idIn(value, body));
  // The header names a version that was agreed on. Before initialize there is none.
  if (message.kind === "request" && message.method === "initialize") {
    return { kind: "initialize", id: message.id };
  }
  // Not every client can put `_meta` in a notification, so its header is enough.
  const isModern = version !== undefined && isModernVersion(version);
  if (isModern && message.kind === "notification") return { kind: "stateless" };
  return {
    kind: "exchange",
    batch: false,
    pending: id === undefined ? [] : [id],
    cancels: cancelledIn(value, body),
    ...refusalOf(value, version),
  };
}

/** How a request without a claim is refused where its session did not agree on `version`. */
function refusalOf(
  value: unknown,
  version: string | undefined,
): { readonly refusal?: VersionRefusal } {
  const refusal = versionRefusal(version);
  if (!refusal) return {};
  if (!isModernVersion(refusal.version)) return { refusal };
  const message = `${missingClaim(value)}, which ${refusal.version} requires`;
  return { refusal: { ...refusal, code: RPC_CODES.invalidParams, message } };
}

/** Why a message makes no claim: the outermost of its values that is wrong. */
function missingClaim(value: unknown): string {
  const params = isObject(value) ? value["params"] : undefined;
  if (params !== undefined && !isObject(params)) return "params is no object";
  const meta = params?.["_meta"];
  if (meta !== undefined && !isObject(meta)) return "params._meta is no object";
  return `params._meta["${VERSION_META_KEY}"] is missing`;
}

/** The refusal of a version by a session that did not agree on it; undefined for one that every session accepts. */
export function versionRefusal(version: string | undefined): VersionRefusal | undefined {
  if (version === undefined || isSessionVersion(version)) return undefined;
  return { version, code: RPC_CODES.invalidRequest, message: "Unsupported MCP-Protocol-Version" };
}

function classifyBatch(
  values: readonly unknown[],
  texts: readonly string[],
  version: string | undefined,
): Verdict {
  if (values.length === 0) return refused(RPC_CODES.invalidRequest, "The batch is empty");
  const pending: RequestId[] = [];
  const cancels: RequestId[] = [];
  for (const [n, value] of values.entries()) {
    const text = texts[n] ?? "";
    const message = messageOf(value, text);
    if (!message || claimsStateless(value)) {
      return refused(RPC_CODES.invalidRequest, "The batch holds what cannot be in one");
    }
    cancels.push(...cancelledIn(value, text));
    if (message.kind !== "request") continue;
    if (message.method === "initialize") {
      return refused(RPC_CODES.invalidRequest, "initialize cannot be part of a batch");
    }
    if (isTooLong(message.id)) return refused(RPC_CODES.invalidRequest, ID_TOO_LONG);
    pending.push(message.id);
  }
  return { kind: "exchange", batch: true, pending, cancels, ...refusalOf(undefined, version) };
}

function claimsStateless(value: unknown): boolean {
  if (!isObject(value) || !isObject(value["params"])) return false;
  const meta = value["params"]["_meta"];
  return isObject(meta) && meta[VERSION_META_KEY] !== undefined;
}

/** The requests that a message cancels. `text` is what `value` was parsed from. */
export function cancelledIn(value: unknown, text: string): RequestId[] {
  if (!isObject(value) || value["method"] !== "notifications/cancelled") return [];
  if (!isObject(value["params"])) return [];
  const written = () => memberText(memberText(text, "params") ?? "", "requestId");
  const id = requestIdOf(value["params"]["requestId"], written);
  return id === undefined ? [] : [id];
}

/** The id of a body that is not a message: it tells the sender which one was refused. */
function idIn(value: unknown, text: string): RequestId | undefined {
  if (!isObject(value) || !("method" in value)) return undefined;
  const id = requestIdOf(value["id"], () => memberText(text, "id"));
  return id === undefined || isTooLong(id) ? undefined : id;
}

const ID_TOO_LONG = `An id has at most ${MAX_REQUEST_ID_LENGTH} characters`;

function isTooLong(id: RequestId): boolean {
  return id.length > MAX_REQUEST_ID_LENGTH;
}

function refused(code: number, message: string, id?: RequestId): Verdict {
  return { kind: "refused", code, message, ...(id !== undefined && { id }) };
}
