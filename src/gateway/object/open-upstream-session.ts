/** Opens the upstream session of a session that is yet to be made. */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import type { Logger } from "../../logger.ts";
import type { InitializeRequest, NotInitialized } from "../contract.ts";
import { reportFailure } from "../upstream/failure.ts";
import {
  handshakeMetadata,
  HandshakeRefused,
  initialize,
  sendInitialized,
} from "../upstream/handshake.ts";
import { soundFirst } from "../upstream/health.ts";
import type { Upstream } from "../upstream/upstream.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";

/** A new upstream session. The session that belongs to it is still to be stored, with this metadata. */
interface Initialized {
  readonly kind: "initialized";
  readonly metadata: Metadata;
  /** The upstream's messages, the last one its answer. */
  readonly messages: readonly string[];
}

export async function openUpstreamSession(
  upstream: Upstream,
  { body, headers, era }: InitializeRequest,
  { limits, log }: { readonly limits: ExchangeLimits; readonly log: Logger },
): Promise<Initialized | NotInitialized> {
  try {
    const replicas = soundFirst(upstream.replicas);
    const handshake = await initialize(upstream, replicas, body, headers, limits.bodyMaxBytes);
    if (era) await sendInitialized(upstream, handshake, headers);
    const kept = Object.entries(handshakeMetadata(handshake, body)).filter(
      (entry): entry is [string, string] => entry[1] !== null,
    );
    const metadata = { ...Object.fromEntries(kept), [GATEWAY_KEYS.upstream]: upstream.name };
    return { kind: "initialized", metadata, messages: handshake.messages };
  } catch (failure) {
    if (!(failure instanceof HandshakeRefused)) {
      return { kind: "failed", failure: reportFailure(log, upstream, failure) };
    }
    const { status, body, headers } = failure;
    return { kind: "refused", status, body, headers };
  }
}
