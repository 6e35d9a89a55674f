/** Judges an upstream's answer to a request for the rest of a stream that broke off. */
import type { Reply } from "./call.ts";
import { FAILURES, isBroken, UpstreamError } from "./failure.ts";

/**
 * The rest of the stream that `ask` asks for; undefined where it was refused in a way that may
 * pass. Throws UpstreamError where it is refused for good.
 */
export async function restOfStream(ask: () => Promise<Reply>): Promise<Reply | undefined> {
  let reply: Reply;
  try {
    reply = await ask();
  } catch (cause) {
    if (isBroken(cause)) return undefined;
    throw cause;
  }
  const { ok, isEventStream, status } = reply;
  if (ok && isEventStream) return reply;
  reply.discard();
  // 409: the server has not noticed yet that the last connection is gone.
  if (status >= 500 || status === 409 || status === 429) return undefined;
  throw new UpstreamError(FAILURES.closed, { status });
}
