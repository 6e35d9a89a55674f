/**
 * Decides which MCP era a POST belongs to, and what it asks for. Pure: it sees the parsed body and one
 * header, and no session. The body decides first, because a stateless request must never
 * touch a session, whatever its headers say.
 */
import { isObject } from "../wire/json.ts";
import { messageOf, RPC_CODES, type RequestId } from "./json-rpc.ts";
import { isModernVersion, isSessionVersion, refusesBatches } from "./versions.ts";

/** A message whose `_meta` has this key is of the stateless era (MCP 2026-07-28). */
const VERSION_META_KEY = "io.modelcontextprotocol/protocolVersion";

export type Verdict =
  /** A message of the stateless era, which is passed through untouched. */
  | { readonly kind: "stateless"; readonly id?: RequestId }
  | { readonly kind: "initialize"; readonly id: RequestId }
  | {
      readonly kind: "exchange";
      readonly batch: boolean;
      /** Ids of its requests, in order. */
      readonly pending: readonly RequestId[];
      /** Ids of requests that it cancels. */
      readonly cancels: readonly RequestId[];
    }
  /** HTTP 400. */
  | {
      readonly kind: "refused";
      readonly code: number;
      readonly message: string;
      readonly id?: RequestId;
    };

/** The id for an error that answers the POST. A batch has no id of its own. */
export function idOf(verdict: Verdict): RequestId | undefined {
  if (verdict.kind !== "exchange") return verdict.id;
  return verdict.batch ? undefined : verdict.pending[0];
}

/**
 * `version` is the value of the header `MCP-Protocol-Version`.
 *
 * @example classify({ jsonrpc: "2.0", id: 1, method: "ping" }, "2025-11-25").kind // "exchange"
 */
export function classify(body: unknown, version: string | undefined): Verdict {
  if (Array.isArray(body)) return classifyBatch(body, version);
  const message = messageOf(body);
  const id = message?.kind === "request" ? message.id : undefined;
  if (claimsStateless(body)) return { kind: "stateless", ...(id !== undefined && { id }) };
  if (!message) return refused(RPC_CODES.invalidRequest, "Not a JSON-RPC 2.0 message", idIn(body));
  if (version !== undefined && isModernVersion(version)) {
    // Not every client can put `_meta` in a notification, so its header is enough.
    if (message.kind === "notification") return { kind: "stateless" };
    const claim = `params._meta["${VERSION_META_KEY}"] is missing`;
    return refused(RPC_CODES.invalidParams, `${claim}, which ${version} requires`, id);
  }
  const problem = versionProblem(version);
  if (problem) return refused(RPC_CODES.invalidRequest, problem, id);
  if (message.kind === "request" && message.method === "initialize") {
    return { kind: "initialize", id: message.id };
  }
  return {
    kind: "exchange",
    batch: false,
    pending: id === undefined ? [] : [id],
    cancels: cancelled(body),
  };
}

/** Why a request of the session era cannot name this version; undefined if it can. */
export function versionProblem(version: string | undefined): string | undefined {
  if (version === undefined || isSessionVersion(version)) return undefined;
  return "Unsupported MCP-Protocol-Version";
}

function classifyBatch(body: readonly unknown[], version: string | undefined): Verdict {
  if (body.length === 0) return refused(RPC_CODES.invalidRequest, "The batch is empty");
  const problem = versionProblem(version);
  if (problem) return refused(RPC_CODES.invalidRequest, problem);
  if (version !== undefined && refusesBatches(version)) {
    return refused(RPC_CODES.invalidRequest, `${version} has no batches`);
  }
  const pending: RequestId[] = [];
  for (const element of body) {
    const message = messageOf(element);
    if (!message || claimsStateless(element)) {
      return refused(RPC_CODES.invalidRequest, "The batch holds what cannot be in one");
    }
    if (message.kind !== "request") continue;
    if (message.method === "initialize") {
      return refused(RPC_CODES.invalidRequest, "initialize cannot be part of a batch");
    }
    pending.push(message.id);
  }
  return { kind: "exchange", batch: true, pending, cancels: body.flatMap(cancelled) };
}

function claimsStateless(body: unknown): boolean {
  if (!isObject(body) || !isObject(body["params"])) return false;
  const meta = body["params"]["_meta"];
  return isObject(meta) && meta[VERSION_META_KEY] !== undefined;
}

function cancelled(body: unknown): RequestId[] {
  if (!isObject(body) || body["method"] !== "notifications/cancelled") return [];
  const id = isObject(body["params"]) ? body["params"]["requestId"] : undefined;
  return typeof id === "string" || typeof id === "number" ? [id] : [];
}

/** The id of a body that is not a message: it tells the sender which one was refused. */
function idIn(body: unknown): RequestId | undefined {
  const id = isObject(body) && "method" in body ? body["id"] : undefined;
  return typeof id === "string" || typeof id === "number" ? id : undefined;
}

function refused(code: number, message: string, id?: RequestId): Verdict {
  return { kind: "refused", code, message, ...(id !== undefined && { id }) };
}
