/**
 * Passes requests of the stateless revision (2026-07-28) through: it makes no session and wakes no
 * object. It keeps the upstream's status and body, from which clients tell the revision that the
 * upstream speaks, and drops the headers that are between the gateway and the upstream alone.
 * A client that leaves has cancelled its request.
 */
import type { Config } from "../config/service.ts";
import { STREAM_HEADERS } from "../http/problem.ts";
import { countStream } from "../signals/metrics.ts";
import { KEEPALIVE_FRAME } from "../wire/sse-frame.ts";
import { BLANK_LINE_LENGTH, endsEvent } from "../wire/sse-parser.ts";
import { Refused } from "./answers.ts";
import { VERSION_META_KEY } from "./classify.ts";
import type { Failure } from "./contract.ts";
import { isHarmless } from "./json-rpc.ts";
import { forwardedHeaders, type GatewayCall } from "./request.ts";
import { askedWithin, call, type ChunkReader, type Reply } from "./upstream/call.ts";
import { FAILURES, reportFailure, UpstreamError } from "./upstream/failure.ts";
import { asksFirst, healthOf, soundFirst } from "./upstream/health.ts";
import { firstUnbroken, type Replica, type Upstream } from "./upstream/upstream.ts";
import { META } from "./eras/wire.ts";
import { FIRST_STATELESS } from "./versions.ts";

/** The revision's own headers. */
const FORWARDED = /^mcp-(protocol-version|method|name|param-.+)$/;
const LISTEN = "subscriptions/listen";
/** The headers of an answer that are passed on. The upstream's session id, cookies and caching are not. */
const ANSWERED = ["content-type", "retry-after", "allow"];

export async function passThrough(gatewayCall: GatewayCall, body: string): Promise<Response> {
  const { upstream, parts, request } = gatewayCall;
  const headers = statelessHeaders(gatewayCall);
  const abort = new AbortController();
  const leave = (): void => abort.abort();
  request.signal.addEventListener("abort", leave, { once: true });
  try {
    // Such a request is a subscription: it lasts as long as its client listens.
    const totalMs = headers["mcp-method"] === LISTEN ? undefined : upstream.callMs;
    const { reply } = await sendStateless(upstream, body, headers, {
      signal: abort.signal,
      totalMs,
    });
    const failure = failureIn(reply, upstream);
    if (!failure) return await relay(reply, upstream, leave, parts.config);
    const { status } = reply;
    reply.discard();
    throw new UpstreamError(failure, { status });
  } catch (cause) {
    throw Refused.as(reportFailure(parts.log, upstream, cause));
  }
}

/** The headers of a request that go to the upstream. */
export function statelessHeaders(gatewayCall: GatewayCall): Record<string, string> {
  const headers = forwardedHeaders(gatewayCall);
  for (const [name, value] of gatewayCall.request.headers) {
    if (FORWARDED.test(name)) headers[name] = value;
  }
  return headers;
}

type Headers = Readonly<Record<string, string>>;

interface SendOptions {
  readonly signal: AbortSignal;
  readonly totalMs: number | undefined;
  /** Milliseconds in place of the upstream's own timeout. */
  readonly withinMs?: number;
}

/** An answer, and the replica that gave it. */
interface Sent {
  readonly reply: Reply;
  readonly replica: Replica;
}

/** Sends a body to the first replica that answers. A body that may not run twice is sent after a harmless request. */
export async function sendStateless(
  upstream: Upstream,
  body: string,
  headers: Headers,
  options: SendOptions,
): Promise<Sent> {
  const replicas = soundFirst(upstream.replicas);
  const request = { method: "POST", body, headers } as const;
  const post = async (replica: Replica): Promise<Sent> => ({
    reply: await call(upstream, replica, request, options),
    replica,
  });
  if (replicas.length > 1 && isHarmless(body)) return firstUnbroken(replicas, post);
  const sound = await firstUnbroken(replicas, async (replica) => {
    if (asksFirst(upstream, replica)) await discover(upstream, replica, headers, options.signal);
    return replica;
  });
  return post(sound);
}

/** Sends a replica a harmless request. Any answer shows that the replica is there. Throws without an answer. */
async function discover(
  upstream: Upstream,
  replica: Replica,
  given: Headers,
  signal: AbortSignal,
): Promise<void> {
  const version = given["mcp-protocol-version"] ?? FIRST_STATELESS;
  const headers = Object.fromEntries(
    Object.entries(given).filter(([name]) => !/^mcp-(name|param-.+)$/.test(name)),
  );
  const request = discovery(version, headers);
  try {
    const options = { signal, withinMs: askedWithin(upstream) };
    (await call(upstream, replica, request, options)).discard();
  } catch (cause) {
    if (signal.aborted) throw cause;
    // A replica that does not answer counts as gone.
    healthOf(replica).broke();
    throw new UpstreamError(FAILURES.unreachable, { cause, broken: true });
  }
}

/** The harmless request of the revision. */
function discovery(version: string, headers: Headers) {
  const method = "server/discover";
  const meta = { [VERSION_META_KEY]: version, [META.clientCapabilities]: {} };
  const message = { jsonrpc: "2.0", id: "holdfast-discover", method, params: { _meta: meta } };
  return {
    method: "POST",
    body: JSON.stringify(message),
    headers: { ...headers, "mcp-protocol-version": version, "mcp-method": method },
  } as const;
}

/** Asks an upstream what it is. Undefined where it does not answer. */
export async function probe(
  gatewayCall: GatewayCall,
): Promise<{ readonly status: number; readonly text: string | undefined } | undefined> {
  const { upstream, parts, request } = gatewayCall;
  const question = discovery(FIRST_STATELESS, forwardedHeaders(gatewayCall));
  try {
    const options = { signal: request.signal, withinMs: askedWithin(upstream) };
    const reply = await firstUnbroken(soundFirst(upstream.replicas), (replica) =>
      call(upstream, replica, question, options),
    );
    const { status, isJson } = reply;
    if (isJson) return { status, text: await reply.text(parts.config.bodyMaxBytes) };
    reply.discard();
    return { status, text: undefined };
  } catch {
    return undefined;
  }
}

/**
 * The client's answer in place of one that must not reach it. A redirect shows where the upstream
 * is. A 401 is about the gateway's own secret, unless the client's is sent on. A page may hold
 * anything, and the status 503 alone says enough.
 */
export function failureIn(reply: Reply, { forwardAuthorization }: Upstream): Failure | undefined {
  const { status } = reply;
  const isMessage = reply.isJson || reply.isEventStream;
  const isForGateway =
    (status >= 300 && status < 400) || (status === 401 && forwardAuthorization === false);
  if (isForGateway || (status >= 500 && status !== 503 && !isMessage)) return FAILURES.refused;
  if (status !== 503 || isMessage) return undefined;
  const retryAfter = reply.header("retry-after");
  const headers = retryAfter === null ? {} : { "retry-after": retryAfter };
  return { ...FAILURES.refused, status, headers };
}

/** Passes a stream on as it comes. Anything else is read whole first, within bounds of time and size. */
async function relay(
  reply: Reply,
  { forwardAuthorization, silenceMs }: Upstream,
  leave: () => void,
  { keepaliveMs, bodyMaxBytes }: Config,
): Promise<Response> {
  const { status } = reply;
  const headers = passedHeaders(reply, forwardAuthorization);
  const stream = reply.passOn(silenceMs);
  if (stream) {
    const body = keptAlive(stream, leave, keepaliveMs);
    return new Response(body, { status, headers: { ...headers, ...STREAM_HEADERS } });
  }
  const body = await reply.bytes(bodyMaxBytes);
  return new Response(body.byteLength > 0 ? body : null, { status, headers });
}

/** The headers of an answer that go to the client. */
export function passedHeaders(
  reply: Reply,
  forwardAuthorization: Upstream["forwardAuthorization"],
): Record<string, string> {
  const headers: Record<string, string> = {};
  const challenge = forwardAuthorization === false ? [] : ["www-authenticate"];
  for (const name of [...ANSWERED, ...challenge]) {
    const value = reply.header(name);
    if (value !== null) headers[name] = value;
  }
  return headers;
}

const encoder = new TextEncoder();
const keepalive = encoder.encode(KEEPALIVE_FRAME);

/**
 * The upstream's stream, with comments between events while it is silent: only a failed write
 * shows that the client has left.
 */
export function keptAlive(
  reader: ChunkReader,
  leave: () => void,
  keepaliveMs: number,
): ReadableStream<Uint8Array> {
  /** The end of what was passed on: a blank line may come in several chunks. */
  let tail = "\n\n";
  let isEnded = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  const uncount = countStream();
  const stop = (): void => {
    isEnded = true;
    uncount();
    clearInterval(timer);
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        if (!isEnded && endsEvent(tail) && (controller.desiredSize ?? 0) > 0)
          controller.enqueue(keepalive);
      }, keepaliveMs);
    },
    async pull(controller) {
      const chunk = await reader.read().catch(() => undefined);
      if (isEnded) return;
      if (!chunk || chunk.done) {
        stop();
        return chunk ? controller.close() : controller.error(new Error("the upstream broke off"));
      }
      const end = String.fromCharCode(...chunk.value.subarray(-BLANK_LINE_LENGTH));
      tail = (tail + end).slice(-BLANK_LINE_LENGTH);
      controller.enqueue(chunk.value);
    },
    cancel() {
      stop();
      leave();
      void reader.cancel().catch(() => undefined);
    },
  });
}
