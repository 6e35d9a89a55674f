/** Initializes a session with an upstream: for a new session, or in place of one that the upstream lost. */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import { idKey, messageOf, type RequestId } from "../json-rpc.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { NEWEST_SESSION_VERSION } from "../versions.ts";
import { SseParser } from "../../wire/sse-parser.ts";
import { call, type Reply } from "./call.ts";
import { FAILURES, UpstreamError } from "./failure.ts";
import { firstReachable, type Replica, type Upstream } from "./upstream.ts";

export interface Handshake {
  readonly replica: Replica;
  /** The upstream's session id, if it keeps sessions. */
  readonly sid: string | undefined;
  /** The version that the upstream chose. */
  readonly version: string;
  /** The upstream's messages. The last one is its answer. */
  readonly messages: readonly string[];
}

/** The upstream answered initialize with a JSON-RPC error. */
export class HandshakeRefused extends Error {
  override readonly name = "HandshakeRefused";
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super("the upstream refused to initialize");
    this.status = status;
    this.body = body;
  }
}

const OWN_ID = "holdfast-initialize";

/** The gateway sends this for a client that never initialized. It claims no capability for that client. */
export const OWN_INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: OWN_ID,
  method: "initialize",
  params: {
    protocolVersion: NEWEST_SESSION_VERSION,
    capabilities: {},
    clientInfo: { name: "holdfast", version: "0.1.0" },
  },
});

const INITIALIZED = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });

/**
 * Sends `body`, an initialize request, to the first of `replicas` that can be reached. `maxBytes`
 * bounds the answer. Throws UpstreamError, or HandshakeRefused.
 */
export async function initialize(
  upstream: Upstream,
  replicas: readonly Replica[],
  body: string,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
): Promise<Handshake> {
  return firstReachable(replicas, async (replica) => {
    const reply = await call(upstream, replica, { method: "POST", body, headers });
    return read(replica, reply, idIn(body), maxBytes);
  });
}

/** Tells the upstream that the client is ready. Throws UpstreamError if the upstream refuses. */
export async function sendInitialized(
  upstream: Upstream,
  { replica, sid, version }: Handshake,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const request = { method: "POST", body: INITIALIZED, sid, version, headers } as const;
  const reply = await call(upstream, replica, request);
  reply.discard();
  if (!reply.ok) throw new UpstreamError(FAILURES.refused);
}

/** Ends the upstream's session. Never rejects: the upstream may be gone, or unable to end sessions. */
export async function terminate(
  upstream: Upstream,
  replica: Replica,
  sid: string,
  version: string | undefined,
): Promise<void> {
  try {
    (await call(upstream, replica, { method: "DELETE", sid, version })).discard();
  } catch {
    // The upstream ends the session in its own time.
  }
}

async function read(
  replica: Replica,
  reply: Reply,
  id: RequestId,
  maxBytes: number,
): Promise<Handshake> {
  const messages = await readMessages(reply, id, maxBytes);
  const value = parseJson(messages.at(-1) ?? "");
  const message = messageOf(value);
  if (message?.kind !== "response" || !isObject(value)) throw new UpstreamError(FAILURES.broken);
  if (message.failed) {
    // The error may have no id. There was only one request.
    const body = JSON.stringify({ jsonrpc: "2.0", id, error: value["error"] });
    throw new HandshakeRefused(reply.status < 400 ? 200 : reply.status, body);
  }
  const version = isObject(value["result"]) ? value["result"]["protocolVersion"] : undefined;
  if (!reply.ok || !answers(message.id, id) || typeof version !== "string") {
    throw new UpstreamError(FAILURES.broken);
  }
  const sid = reply.header("mcp-session-id") || undefined;
  return { replica, sid, version, messages };
}

async function readMessages(reply: Reply, id: RequestId, maxBytes: number): Promise<string[]> {
  if (reply.isJson) return [await reply.text(maxBytes)];
  if (!reply.isEventStream) {
    reply.discard();
    throw new UpstreamError(reply.ok ? FAILURES.broken : FAILURES.refused);
  }
  const messages: string[] = [];
  let size = 0;
  for await (const { data } of reply.messages(new SseParser(maxBytes))) {
    const message = messageOf(parseJson(data));
    if (!message) continue;
    if (message.kind === "response" && !answers(message.id, id)) continue;
    messages.push(data);
    if (message.kind === "response") return messages;
    size += data.length;
    if (size > maxBytes) throw new UpstreamError(FAILURES.tooLarge);
  }
  throw new UpstreamError(reply.timedOut ? FAILURES.timedOut : FAILURES.closed);
}

function answers(id: RequestId | undefined, asked: RequestId): boolean {
  return id !== undefined && idKey(id) === idKey(asked);
}

function idIn(body: string): RequestId {
  const message = messageOf(parseJson(body));
  if (message?.kind !== "request") throw new UpstreamError(FAILURES.broken);
  return message.id;
}

/** The version that the client agreed on; undefined if the client never initialized. */
export function agreedVersion({ version, initBody }: Binding): string | undefined {
  const message = messageOf(parseJson(initBody ?? ""));
  const isOwn = message?.kind === "request" && message.id === OWN_ID;
  return isOwn ? undefined : version;
}

/** A session's metadata about its upstream session. */
export interface Binding {
  readonly url: string | undefined;
  readonly sid: string | undefined;
  readonly version: string | undefined;
  readonly initBody: string | undefined;
}

export function bindingOf(metadata: Metadata): Binding {
  return {
    url: metadata[GATEWAY_KEYS.backendUrl],
    sid: metadata[GATEWAY_KEYS.backendSid],
    version: metadata[GATEWAY_KEYS.protocolVersion],
    initBody: metadata[GATEWAY_KEYS.initBody],
  };
}

/** The metadata that a session gets from a handshake. A null removes its key. */
export function handshakeMetadata(
  { replica, sid, version }: Handshake,
  initBody: string,
): Record<string, string | null> {
  const info = clientInfoIn(initBody);
  return {
    [GATEWAY_KEYS.backendUrl]: replica.url,
    [GATEWAY_KEYS.backendSid]: sid ?? null,
    [GATEWAY_KEYS.initBody]: initBody,
    [GATEWAY_KEYS.protocolVersion]: version,
    [GATEWAY_KEYS.clientInfo]: info === undefined ? null : JSON.stringify(info),
  };
}

function clientInfoIn(initBody: string): unknown {
  const value = parseJson(initBody);
  if (!isObject(value) || !isObject(value["params"])) return undefined;
  return value["params"]["clientInfo"];
}
