/** Initializes a session with an upstream: for a new session, or in place of one that the upstream lost. */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import { messagesIn, requestMeant, withId, type RequestId } from "../json-rpc.ts";
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText } from "../../wire/json-text.ts";
import { NEWEST_SESSION_VERSION } from "../versions.ts";
import { inEitherEra } from "../eras/negotiate.ts";
import { call, SELF } from "./call.ts";
import { FAILURES, HandshakeRefused, UpstreamError } from "./failure.ts";
import { hearHead, hearOne } from "./hear.ts";
import { meaningOf, type Meaning } from "./meaning.ts";
import { firstUnbroken, replicaAt, type Replica, type Upstream } from "./upstream.ts";

export interface Handshake {
  readonly replica: Replica;
  /** The upstream's session id, if it keeps sessions. */
  readonly sid: string | undefined;
  /** The version that the upstream chose. */
  readonly version: string;
  /** The upstream's messages. The last one is its answer. */
  readonly messages: readonly string[];
}

const OWN_ID = "holdfast-initialize";
const OWN_REQUEST_ID: RequestId = JSON.stringify(OWN_ID);

/** The gateway sends this for a client that never initialized. It claims no capability for that client. */
export const OWN_INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: OWN_ID,
  method: "initialize",
  params: {
    protocolVersion: NEWEST_SESSION_VERSION,
    capabilities: {},
    clientInfo: SELF,
  },
});

export const INITIALIZED = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });

/**
 * Sends `body`, an initialize request, to the first of `replicas` whose connection does not break.
 * `maxBytes` bounds the answer. Throws UpstreamError, or HandshakeRefused.
 */
export async function initialize(
  upstream: Upstream,
  replicas: readonly Replica[],
  body: string,
  headers: Readonly<Record<string, string>>,
  maxBytes: number,
): Promise<Handshake> {
  const id = idIn(body);
  const ask = async (replica: Replica, bridged: boolean): Promise<Handshake> => {
    const reply = await call(upstream, replica, { method: "POST", body, headers, bridged });
    const heard = await hearOne(reply, id, maxBytes);
    const { forwardAuthorization } = upstream;
    const meaning = meaningOf({ pending: [id], mayBeLost: false, forwardAuthorization }, heard);
    return agreed(replica, reply.header("mcp-session-id") || undefined, id, meaning);
  };
  return firstUnbroken(replicas, (replica) =>
    inEitherEra(upstream, replica, (bridged) => ask(replica, bridged)),
  );
}

/** Tells the upstream that the client is ready. Throws UpstreamError if the upstream refuses. */
export async function sendInitialized(
  upstream: Upstream,
  { replica, sid, version }: Handshake,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const request = { method: "POST", body: INITIALIZED, sid, version, headers } as const;
  const heard = hearHead(await call(upstream, replica, request));
  const { forwardAuthorization } = upstream;
  const meaning = meaningOf({ pending: [], mayBeLost: false, forwardAuthorization }, heard);
  if (meaning.kind === "failed") throw new UpstreamError(meaning.failure, { status: heard.status });
}

/**
 * Ends an upstream session. `headers` are the client's, where a request of its own ends it. Never
 * rejects: the upstream may be gone, or unable to end sessions.
 */
export async function terminate(
  upstream: Upstream,
  { replica, sid, version }: Pick<Handshake, "replica" | "sid"> & Pick<Binding, "version">,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  if (sid === undefined) return;
  try {
    (await call(upstream, replica, { method: "DELETE", sid, version, headers })).discard();
  } catch {
    // The upstream ends the session in its own time.
  }
}

/** Ends the upstream session that a session is bound to. */
export function endBinding(
  upstream: Upstream,
  { url, sid, version }: Binding,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  return terminate(upstream, { replica: replicaAt(upstream, url), sid, version }, headers);
}

/** Reads the version and the session that an upstream's answer to the initialize request `id` agrees to. */
function agreed(
  replica: Replica,
  sid: string | undefined,
  id: RequestId,
  meaning: Meaning,
): Handshake {
  if (meaning.kind === "failed")
    throw new UpstreamError(meaning.failure, { status: meaning.status });
  if (meaning.kind !== "answer") throw new UpstreamError(FAILURES.broken);
  const { status, headers } = meaning;
  const messages: string[] = [];
  for (const { message, text } of meaning.messages) {
    if (message.kind === "response") {
      if (message.id === undefined || requestMeant(message.id, [id], [id]) === undefined) continue;
      const answer = message.id === id ? text : withId(text, id);
      if (message.error) throw new HandshakeRefused(status, answer, headers);
      const version = versionIn(answer);
      if (version === undefined) break;
      return { replica, sid, version, messages: [...messages, answer] };
    }
    messages.push(text);
  }
  throw new UpstreamError(FAILURES.broken);
}

function versionIn(answer: string): string | undefined {
  const result = memberText(answer, "result") ?? "";
  const version = parseJson(memberText(result, "protocolVersion") ?? "");
  return typeof version === "string" ? version : undefined;
}

function idIn(body: string): RequestId {
  const [request] = messagesIn(body);
  if (request?.message.kind !== "request") throw new UpstreamError(FAILURES.broken);
  return request.message.id;
}

/** The version that the client agreed on; undefined if the client never initialized. */
export function agreedVersion({ version, initBody }: Binding): string | undefined {
  const [request] = messagesIn(initBody ?? "");
  const isOwn = request?.message.kind === "request" && request.message.id === OWN_REQUEST_ID;
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
