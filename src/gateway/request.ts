/** One request to the gateway: the parameter of its handler, and the checks and readers that handlers share. */
import { parseAccept } from "hono/utils/accept";
import type { Caller } from "../core/caller.ts";
import { GATEWAY_KEYS } from "../core/content.ts";
import { SessionError, SessionNotFoundError } from "../core/errors.ts";
import type { SessionContent } from "../core/host.ts";
import { parseSessionId, type SessionId } from "../core/id.ts";
import { jsonProblem } from "../core/json-bounds.ts";
import { MAX_BATCH } from "../core/limits.ts";
import type { KnownSessionType } from "../core/content.ts";
import { isOfType, JSON_TYPES, readBody, textOf } from "../http/body.ts";
import { bodies, type Hold } from "../http/held-bytes.ts";
import type { RequestHeaders } from "../http/request-headers.ts";
import type { Machine } from "../http/mount.ts";
import type { Service } from "../http/route.ts";
import { parseJson } from "../wire/json.ts";
import { Refused } from "./answers.ts";
import { classify, idOf, type Verdict } from "./classify.ts";
import type { EraMemory } from "./eras/memory.ts";
import type { GatewayHost, GatewaySessions, SessionMatch } from "./contract.ts";
import { RPC_CODES, type RequestId } from "./json-rpc.ts";
import type { Upstream, Upstreams } from "./upstream/upstream.ts";

export interface GatewayParts
  extends Pick<Service, "config" | "access" | "log">, Pick<Machine, "waitUntil"> {
  readonly host: GatewayHost;
  readonly upstreams: Upstreams;
  /** Remembers over restarts which eras the upstreams speak. Absent: every isolate learns it anew. */
  readonly memory?: EraMemory | undefined;
}

/** One HTTP request to one upstream. */
export interface GatewayCall {
  readonly parts: GatewayParts;
  readonly request: Request;
  readonly headers: RequestHeaders;
  readonly upstream: Upstream;
  /** The sessions that the caller may touch. */
  readonly sessions: GatewaySessions;
  /** A new session is bound to its subject, if it has one. */
  readonly caller: Caller;
  /** The id of the JSON-RPC request. A handler sets it when it has read the body; errors carry it. */
  id?: RequestId | undefined;
}

/** Refuses a client whose Accept header does not take all of `types`. */
export function requireAccept({ headers }: GatewayCall, ...types: readonly string[]): void {
  if (accepts(headers.get("accept"), types)) return;
  throw new Refused(406, `Accept must take ${types.join(" and ")}`);
}

/** Whether the Accept header takes all of `types`. Without one, a client takes everything (RFC 9110, 12.5.1). */
export function accepts(header: string | undefined, types: readonly string[]): boolean {
  if (header === undefined) return true;
  const ranges = parseAccept(header).map(({ type, q }) => {
    const name = type.toLowerCase();
    // A client that takes JSON-RPC takes the JSON that it is.
    return { name: name === "application/json-rpc" ? "application/json" : name, refused: q === 0 };
  });
  return types.every((type) => {
    // The most specific range decides: a type may be refused although all others are taken.
    const names = [type, `${type.split("/")[0]}/*`, "*/*"];
    const decisive = names.find((one) => ranges.some(({ name }) => name === one));
    return ranges.some(({ name, refused }) => name === decisive && !refused);
  });
}

/** A body as it was sent, with the verdict of `classify`. The parsed body is no longer in memory. */
interface Posted {
  readonly body: string;
  readonly verdict: Exclude<Verdict, { kind: "refused" }>;
}

/**
 * Reads a posted body and answers it. It counts as held until the answer is made, or has begun. Throws
 * as `readPosted` and `answer` do.
 */
export function withPosted(
  call: GatewayCall,
  version: string | undefined,
  answer: (posted: Posted) => Promise<Response>,
): Promise<Response> {
  const hold = bodies.hold();
  return readPosted(call, hold, version)
    .then(answer)
    .finally(() => hold.release());
}

/**
 * Reads a posted body, of which `hold` counts the bytes; `version` is what `classify` needs. Throws
 * Refused for another media type, for text that is not JSON or breaks the bounds of `jsonProblem`, and
 * for what is not MCP; throws a SessionError as `readBody` does.
 */
async function readPosted(
  call: GatewayCall,
  hold: Hold,
  version: string | undefined,
): Promise<Posted> {
  const { request, headers, parts } = call;
  if (!isOfType(headers.get("content-type"), JSON_TYPES)) {
    throw new Refused(415, "Content-Type must be application/json");
  }
  let body: string;
  try {
    const limit = { maxBytes: parts.config.bodyMaxBytes, name: "BODY_MAX_BYTES" };
    body = textOf(await readBody(request, limit, hold));
  } catch (failure) {
    if (!(failure instanceof SessionError) || failure.code !== "invalid_request") throw failure;
    throw new Refused(400, `Parse error: ${failure.message}`, RPC_CODES.parseError);
  }
  const problem = jsonProblem(body, MAX_BATCH);
  if (problem !== undefined) {
    throw new Refused(400, `The body ${problem}`, RPC_CODES.invalidRequest);
  }
  const value = parseJson(body);
  if (value === undefined) throw new Refused(400, "Parse error", RPC_CODES.parseError);
  const verdict = classify({ body, value }, version);
  call.id = idOf(verdict);
  if (verdict.kind === "refused") throw new Refused(400, verdict.message, verdict.code);
  return { body, verdict };
}

/** The id that a client names. The gateway gives out one spelling of an id, and takes no other back. */
export function sessionIdIn(text: string): SessionId {
  const sessionId = parseSessionId(text);
  if (sessionId !== text) throw new SessionNotFoundError();
  return sessionId;
}

/** The session that a client names must be of this type and this upstream, and agree on this version. */
export function matchOf(
  { upstream }: GatewayCall,
  type: KnownSessionType,
  version?: string,
): SessionMatch {
  return { type, upstream: upstream.name, ...(version !== undefined && { version }) };
}

/** The content of a new session, which is bound to its caller and its upstream. */
export function contentFor(call: GatewayCall, type: KnownSessionType): SessionContent {
  const { config } = call.parts;
  const { subject } = call.caller;
  return {
    type,
    metadata: { [GATEWAY_KEYS.upstream]: call.upstream.name },
    ttlMs: config.sessionTtlMs,
    maxLifetimeMs: config.sessionMaxLifetimeMs,
    ...(subject !== undefined && { subject }),
  };
}

/** W3C tracing headers. They hold nothing about the caller. */
const FORWARDED = ["traceparent", "tracestate"] as const;

/** The client's headers that the gateway sends on to the upstream. */
export function forwardedHeaders({ headers, upstream }: GatewayCall): Record<string, string> {
  const forwarded: Record<string, string> = {};
  for (const name of FORWARDED) {
    const value = headers.get(name);
    if (value !== undefined) forwarded[name] = value;
  }
  const { forwardAuthorization: name } = upstream;
  const credential = name === false ? undefined : headers.get(name);
  if (credential !== undefined) forwarded["authorization"] = credential;
  return forwarded;
}
