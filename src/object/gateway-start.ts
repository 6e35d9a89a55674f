/** Where a gateway stream starts in the log, and what it says before its first message. */
import { NATIVE_STREAM } from "../session/event-id.ts";
import { GATEWAY_KEYS, STANDALONE_STREAM, type GatewayStart } from "../session/exchange.ts";
import type { Metadata } from "../session/host.ts";
import { RETRY_MS } from "../session/limits.ts";
import { readsEmptyEvents } from "../session/mcp-version.ts";
import { encodeFrame } from "../session/sse-frame.ts";
import type { EventLog } from "./event-log.ts";
import type { ExchangeTable } from "./exchange-table.ts";

export interface StartPlace {
  readonly stream: number;
  /** The stream's events after this seq are sent. */
  readonly seq: number;
  readonly preamble: string;
}

/** Undefined: the client asks for a place that the log cannot give. */
export function gatewayStart(
  start: GatewayStart,
  log: EventLog,
  table: ExchangeTable,
  metadata: Metadata,
): StartPlace | undefined {
  const place = placeOf(start, log, table);
  if (!place) return undefined;
  const { stream, seq } = place;
  // The id comes before anything else, so that a client that is cut here can resume. As
  // an event of its own it is seen by clients that forget the id of one without data.
  const empty = readsEmptyEvents(metadata[GATEWAY_KEYS.protocolVersion]) ? { data: "" } : {};
  const priming = encodeFrame({ retry: RETRY_MS, id: log.idOf(seq, stream), ...empty });
  return { stream, seq, preamble: priming + endpointFrame(start) };
}

function endpointFrame(start: GatewayStart): string {
  if (start.kind !== "standalone" || start.endpoint === undefined) return "";
  return encodeFrame({ event: "endpoint", data: start.endpoint });
}

function placeOf(
  start: GatewayStart,
  log: EventLog,
  table: ExchangeTable,
): { stream: number; seq: number } | undefined {
  if (start.kind === "exchange") {
    return { stream: start.stream, seq: log.beforeStream(start.stream) };
  }
  // Nothing is kept for a reader that never was: the upstream's stream is read only while there is one.
  if (start.kind === "standalone") return { stream: STANDALONE_STREAM, seq: log.lastSeq };
  const verdict = log.resume(start.lastEventId);
  if (verdict.kind === "gap") return undefined;
  const { stream, seq } = verdict.position;
  return stream !== NATIVE_STREAM && table.knows(stream) ? { stream, seq } : undefined;
}
