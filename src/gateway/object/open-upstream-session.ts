/** Opens the upstream session of a session that is yet to be made, and has the session made. */
import { GATEWAY_KEYS, type Metadata } from "../../core/content.ts";
import { succeed, type Outcome } from "../../core/errors.ts";
import type { Logger } from "../../logger.ts";
import type { ChannelParts } from "../../stream/channel.ts";
import type {
  ExchangeRequest,
  InitializeAnswer,
  InitializeRequest,
  NotInitialized,
} from "../contract.ts";
import type { ObjectServer, SessionToCome } from "../own/object-server.ts";
import { HandshakeRefused, reportFailure } from "../upstream/failure.ts";
import { handshakeMetadata, initialize, sendInitialized } from "../upstream/handshake.ts";
import { soundFirst } from "../upstream/health.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { describe } from "./described.ts";
import type { ExchangeLimits } from "./streamed-answer.ts";

/** A new upstream session. The session that belongs to it is still to be stored, with this metadata. */
interface Initialized {
  readonly kind: "initialized";
  readonly metadata: Metadata;
  /** The upstream's messages, the last one its answer. */
  readonly messages: readonly string[];
}

interface OpeningParts {
  readonly upstream: Upstream;
  /** The servers of one's own. */
  readonly own: Pick<ObjectServer, "begin" | "settle">;
  readonly channel: Pick<ChannelParts, "storage">;
  readonly limits: ExchangeLimits;
  readonly log: Logger;
  /** Ends an upstream session. */
  readonly terminate: (metadata: Metadata, headers: ExchangeRequest["headers"]) => Promise<void>;
}

/** The session that is to be made, and what makes it with the upstream's metadata. */
export type ToMake = readonly [SessionToCome, make: (metadata: Metadata) => Outcome<unknown>];

export type Opened = Outcome<InitializeAnswer>;

/** Makes an upstream session for a new session, and then the session itself: both, or neither. */
export async function openSession(
  { upstream, own, channel, terminate, ...parts }: OpeningParts,
  request: InitializeRequest,
  [session, make]: ToMake,
): Promise<Opened> {
  own.begin(session);
  const opened = await openUpstreamSession(upstream, request, parts);
  if (opened.kind !== "initialized") {
    own.settle(false);
    return succeed(opened);
  }
  const { metadata, messages } = opened;
  const made = make(metadata);
  own.settle(made.ok);
  if (made.ok) {
    if (request.era) describe(channel.storage.kv, messages);
    return succeed({ kind: "initialized", messages });
  }
  void terminate(metadata, request.headers);
  return made;
}

async function openUpstreamSession(
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
