/**
 * Passes requests of the stateless revision (2026-07-28) through: it makes no session and wakes no
 * object. It keeps the upstream's status and body, from which clients tell the revision that the
 * upstream speaks, and drops the headers that are between the gateway and the upstream alone.
 * A client that leaves has cancelled its request.
 */
import type { Config } from "../config/service.ts";
import { describeFailure } from "../logger.ts";
import { KEEPALIVE_FRAME } from "../wire/sse-frame.ts";
import { BLANK_LINE_LENGTH, endsEvent } from "../wire/sse-parser.ts";
import { Refused } from "./answers.ts";
import { forwardedHeaders, type GatewayCall } from "./request.ts";
import { call, type Reply } from "./upstream/call.ts";
import { FAILURES, failureOf, UpstreamError } from "./upstream/failure.ts";
import { firstReachable, type Upstream } from "./upstream/upstream.ts";

const FORWARDED = /^mcp-(method|name|param-.+)$/;
/** The headers of an answer that are passed on. The upstream's session id and its cookies are not. */
const ANSWERED = ["content-type", "cache-control", "retry-after", "allow"];

export async function passThrough(gatewayCall: GatewayCall, body: string): Promise<Response> {
  const { upstream, parts, request } = gatewayCall;
  const headers = forwardedHeaders(gatewayCall);
  for (const [name, value] of request.headers) if (FORWARDED.test(name)) headers[name] = value;
  const abort = new AbortController();
  const leave = (): void => abort.abort();
  request.signal.addEventListener("abort", leave, { once: true });
  try {
    const reply = await firstReachable(upstream.replicas, (replica) =>
      call(upstream, replica, { method: "POST", body, headers }, { signal: abort.signal }),
    );
    if (isForGateway(reply, upstream)) {
      reply.discard();
      throw new UpstreamError(FAILURES.refused);
    }
    return await relay(reply, upstream.forwardAuthorization, leave, parts.config);
  } catch (failure) {
    parts.log.warn("upstream.failed", { upstream: upstream.name, cause: describeFailure(failure) });
    throw Refused.as(failureOf(failure));
  }
}

/**
 * Whether an answer must not reach the client. A redirect shows where the upstream is. A 401 is
 * about the gateway's own secret, unless the client's is sent on. An error page may hold anything.
 */
function isForGateway(reply: Reply, { forwardAuthorization }: Upstream): boolean {
  const { status } = reply;
  if (status >= 300 && status < 400) return true;
  if (status === 401) return !forwardAuthorization;
  return status >= 500 && !reply.isJson;
}

/** Passes a stream on as it comes. Anything else is read whole first, within bounds of time and size. */
async function relay(
  reply: Reply,
  authorization: boolean,
  leave: () => void,
  { keepaliveMs, bodyMaxBytes }: Config,
): Promise<Response> {
  const { status } = reply;
  const headers = new Headers();
  for (const name of authorization ? [...ANSWERED, "www-authenticate"] : ANSWERED) {
    const value = reply.header(name);
    if (value !== null) headers.set(name, value);
  }
  const stream = reply.passOn();
  if (stream) return new Response(kept(stream, leave, keepaliveMs), { status, headers });
  const body = await reply.bytes(bodyMaxBytes);
  return new Response(body.byteLength > 0 ? body : null, { status, headers });
}

const encoder = new TextEncoder();
const keepalive = encoder.encode(KEEPALIVE_FRAME);

/**
 * The upstream's stream, with comments between events while it is silent: only a failed write
 * shows that the client has left.
 */
function kept(
  body: ReadableStream<Uint8Array>,
  leave: () => void,
  keepaliveMs: number,
): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  /** The end of what was passed on: a blank line may come in several chunks. */
  let tail = "\n\n";
  let ended = false;
  let timer: ReturnType<typeof setInterval> | undefined;
  const stop = (): void => {
    ended = true;
    clearInterval(timer);
  };
  return new ReadableStream<Uint8Array>({
    start(controller) {
      timer = setInterval(() => {
        if (!ended && endsEvent(tail) && (controller.desiredSize ?? 0) > 0)
          controller.enqueue(keepalive);
      }, keepaliveMs);
    },
    async pull(controller) {
      const chunk = await reader.read().catch(() => undefined);
      if (ended) return;
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
