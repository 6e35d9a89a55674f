/** The content of a session: its type, metadata and data, with their merging and their bounds. */
import type { ErrorCode } from "./errors.ts";
import { MAX_DATA_BYTES, MAX_METADATA_BYTES, MAX_METADATA_KEYS } from "./limits.ts";
import { exceeds } from "../wire/bytes.ts";
import { isObject } from "../wire/json.ts";

export const SESSION_TYPE_MCP = "mcp";
export const SESSION_TYPE_SSE = "sse";
export const SESSION_TYPE_STREAMABLE = "streamable";
/** A task: a tool call that goes on without its client (docs/mcp.md, "Tasks"). Only the gateway makes one. */
export const SESSION_TYPE_TASK = "task";

/** The types of the sessions that a caller can make: those that ToolHive's session package defines (`SessionType`). */
export const NEW_SESSION_TYPES = [
  SESSION_TYPE_MCP,
  SESSION_TYPE_SSE,
  SESSION_TYPE_STREAMABLE,
] as const;

/** Every type that a session of this service can have. */
export const SESSION_TYPES = [...NEW_SESSION_TYPES, SESSION_TYPE_TASK] as const;

export type NewSessionType = (typeof NEW_SESSION_TYPES)[number];

export type KnownSessionType = (typeof SESSION_TYPES)[number];

/** Any text: a record of a type that this version does not know survives a round trip, as in ToolHive. */
export type SessionType = KnownSessionType | (string & {});

export const DEFAULT_SESSION_TYPE: KnownSessionType = SESSION_TYPE_MCP;

/**
 * Whether this version knows the type. A `SessionType` may be any other text.
 *
 * @example isKnownSessionType("sse"); // true; then the type is narrowed to KnownSessionType
 */
export function isKnownSessionType(type: string): type is KnownSessionType {
  return (SESSION_TYPES as readonly string[]).includes(type);
}

/**
 * How a log treats a publish when every event that it would have to drop is unread: `refuse` refuses
 * the publish, `trim` drops the oldest events, and a reader that comes for them gets a `gap`.
 */
export const OVERFLOWS = ["refuse", "trim"] as const;

export type Overflow = (typeof OVERFLOWS)[number];

export const DEFAULT_OVERFLOW: Overflow = "refuse";

export type Metadata = Readonly<Record<string, string>>;

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/**
 * JSON Merge Patch, RFC 7396: the result of `patch` on `target`, neither of which changes. A key
 * named `__proto__` is data like any other, so nothing here assigns by key.
 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isObject(patch)) return patch;
  const result = new Map<string, Json>(isObject(target) ? Object.entries(target) : []);
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) result.delete(key);
    else result.set(key, mergePatch(result.get(key), value));
  }
  // fromEntries defines each property, where assignment would run the __proto__ setter.
  return Object.fromEntries(result);
}

/** The message of the error for metadata with too many keys. */
export function tooManyKeys(keys: number): string {
  return `metadata: has ${keys} keys, at most ${MAX_METADATA_KEYS} are allowed`;
}

/** The first bound that metadata or data break; undefined if they break none. */
export function contentProblem(
  metadata: Metadata,
  dataJson: string | undefined,
): { readonly code: ErrorCode; readonly detail: string } | undefined {
  const keys = Object.keys(metadata).length;
  if (keys > MAX_METADATA_KEYS) {
    return {
      code: "invalid_request",
      detail: tooManyKeys(keys),
    };
  }
  if (exceeds(JSON.stringify(metadata), MAX_METADATA_BYTES)) {
    return { code: "payload_too_large", detail: `metadata: is over ${MAX_METADATA_BYTES} bytes` };
  }
  if (dataJson !== undefined && exceeds(dataJson, MAX_DATA_BYTES)) {
    return { code: "payload_too_large", detail: `data: is over ${MAX_DATA_BYTES} bytes` };
  }
  return undefined;
}

/** Applies a merge patch to metadata: a null value removes its key, null for the whole removes all. */
export function patchMetadata(
  metadata: Metadata,
  patch: Readonly<Record<string, string | null>> | null,
): Metadata {
  // The patch holds texts and nulls, so every value that is left is a text.
  return patch === null ? {} : (mergePatch(metadata, patch) as Metadata);
}

/** Applies a merge patch (JSON text) to data; undefined if nothing is left. */
export function patchData(dataJson: string | undefined, patchJson: string): string | undefined {
  if (patchJson === "null") return undefined;
  // JSON.parse returns JSON.
  const target = dataJson === undefined ? undefined : (JSON.parse(dataJson) as Json);
  return JSON.stringify(mergePatch(target, JSON.parse(patchJson) as Json));
}

/** Metadata keys of a gateway session. The first three are ToolHive's, and mean what they mean there. */
export const GATEWAY_KEYS = {
  /** Where the upstream's session lives. */
  backendUrl: "backend_url",
  /** The upstream's own session id; absent if it gave none. */
  backendSid: "backend_sid",
  /** The client's initialize request: the gateway sends it again if the upstream forgets the session. */
  initBody: "init_body",
  /** Name of the session's upstream. */
  upstream: "upstream",
  /** The protocol version that client and upstream agreed on. */
  protocolVersion: "protocol_version",
  /** The client's name and version, as JSON. */
  clientInfo: "client_info",
  /** The tool whose call has become this task. */
  tool: "tool",
  /** The revision of the clients that the session carries, where they have no sessions of their own; else absent. */
  era: "era",
} as const;
