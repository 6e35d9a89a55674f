/** A gateway session's streams: what is logged on them, in a log of their own, who reads them, and when they end. */
import { concat } from "../../wire/bytes.ts";
import { type GatewayStart, STANDALONE_STREAM } from "../contract.ts";
import type { RequestId } from "../json-rpc.ts";
import { UPSTREAM_HELD_MS, RETRY_MS } from "../../core/limits.ts";
import { SharedTimer } from "../upstream/call-deadline.ts";
import { encodeFrame } from "../../wire/sse-frame.ts";
import { BACKEND, CLOSE_CODES } from "../../stream/protocol.ts";
import { bindingOf } from "../upstream/handshake.ts";
import { EventLog, sized, type EventLogLimits } from "../../stream/event-log.ts";
import { ExchangeTable, type OpenExchange } from "./exchange-table.ts";
import type { Subscribers } from "../../stream/subscribers.ts";
import { type Metadata, GATEWAY_KEYS } from "../../core/content.ts";
import { NATIVE_STREAM } from "../../core/event-id.ts";
import { readsEmptyEvents } from "../versions.ts";

/** What the gateway's part of a session's object needs from the object itself. */
export interface GatewaySession {
  /** Made with the session: another epoch is another session. */
  readonly epoch: string;
  readonly metadata: Metadata;
}

export interface GatewayPort {
  /** The timer of all that the session's exchanges wait for. */
  readonly timer: SharedTimer;
  /** The session; null once it has expired or was deleted. Looking is no use. */
  session(): GatewaySession | null;
  /** Logs a message on a stream and sends it to the stream's reader. */
  append(stream: number, data: string): void;
  /** Sends a message to the stream's reader without logging it: the session is about to end. */
  sendLast(stream: number, data: string): void;
  /** No more comes on this stream: its reader is let go when it has been sent everything. */
  endStream(stream: number): void;
  beginExchange(pending: readonly RequestId[], standalone: boolean): OpenExchange;
  pendingChanged(exchange: OpenExchange, pending: readonly RequestId[]): void;
  /** Resolves when no stream of the upstream's is being opened for a client that has just asked for it. */
  upstreamHeld(): Promise<void>;
  /** False: the session has no room for that. */
  saveMetadata(patch: Readonly<Record<string, string | null>>): boolean;
  /** An exchange has ended, and with it, perhaps, the use that kept the session alive. */
  exchangeEnded(): void;
}

/** Where a gateway stream starts in the log, and what it says before its first message. */
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

export interface SessionHolder {
  /** The session; null where there is none. */
  record(): GatewaySession | null;
  /** False: it has no room for that. */
  patchMetadata(patch: Readonly<Record<string, string | null>>): boolean;
  /** An exchange has ended, and with it, perhaps, the use that kept the session alive. */
  exchangeEnded(): void;
}

/** Key of the last event of the upstream's standalone stream. */
const UPSTREAM_EVENT_ID = "upstream-event-id";

const encoder = new TextEncoder();

export class GatewayStreams implements GatewayPort {
  readonly timer = new SharedTimer();
  readonly #storage: DurableObjectStorage;
  readonly #subscribers: Subscribers;
  readonly #holder: SessionHolder;
  readonly #limits: EventLogLimits;
  /** Set while the bridge opens the upstream's standalone stream. */
  #opening: PromiseWithResolvers<void> | undefined;
  #table: { readonly epoch: string; readonly table: ExchangeTable } | undefined;
  #log: { readonly epoch: string; readonly log: EventLog } | undefined;

  constructor(
    storage: DurableObjectStorage,
    writers: Subscribers,
    holder: SessionHolder,
    limits: EventLogLimits,
  ) {
    this.#storage = storage;
    this.#subscribers = writers;
    this.#holder = holder;
    this.#limits = limits;
  }

  session(): GatewaySession | null {
    const record = this.#holder.record();
    return record ? { epoch: record.epoch, metadata: record.metadata } : null;
  }

  append(stream: number, data: string): void {
    try {
      const logged = this.#messages().append(stream, [sized({ data })], false);
      this.#subscribers.broadcast(stream, concat(logged.map(({ frame }) => frame)));
    } catch (failure) {
      // The log in memory has counted what was not stored, so it is read anew.
      this.#log = undefined;
      throw failure;
    }
  }

  sendLast(stream: number, data: string): void {
    this.#subscribers.broadcast(stream, encoder.encode(encodeFrame({ data })));
  }

  endStream(stream: number): void {
    this.#subscribers.closeLive(stream, CLOSE_CODES.finished);
  }

  beginExchange(pending: readonly RequestId[], standalone: boolean): OpenExchange {
    return this.exchanges().begin(pending, standalone);
  }

  pendingChanged(exchange: OpenExchange, pending: readonly RequestId[]): void {
    this.exchanges().savePending(exchange, pending);
  }

  saveMetadata(patch: Readonly<Record<string, string | null>>): boolean {
    if (!this.#holder.patchMetadata(patch)) return false;
    // The ids of one upstream session mean nothing to the next.
    this.#storage.kv.delete(UPSTREAM_EVENT_ID);
    this.#subscribers.sendControl(STANDALONE_STREAM, this.#backend());
    return true;
  }

  exchangeEnded(): void {
    this.#holder.exchangeEnded();
  }

  /** The exchanges of the session that there is now. */
  exchanges(): ExchangeTable {
    const { epoch } = this.#record();
    if (this.#table?.epoch !== epoch)
      this.#table = { epoch, table: new ExchangeTable(this.#storage.sql) };
    return this.#table.table;
  }

  /** Attaches a stream's reader, in place of the one it had. False: it cannot start there. */
  attach(socket: WebSocket, start: GatewayStart): boolean {
    const { metadata } = this.#record();
    const place = gatewayStart(start, this.#messages(), this.exchanges(), metadata);
    if (!place) return false;
    this.#subscribers.closeStream(place.stream, CLOSE_CODES.superseded);
    this.#subscribers.attach(socket, place.stream, place.seq);
    this.#subscribers.send(socket, encoder.encode(place.preamble));
    if (place.stream === STANDALONE_STREAM) this.#openUpstream(socket);
    this.sendPage(socket);
    return true;
  }

  /** The bridge has, or will not get, the upstream's stream. */
  held(): void {
    this.#opening?.resolve();
    this.#opening = undefined;
  }

  upstreamHeld(): Promise<void> {
    return this.#opening?.promise ?? Promise.resolve();
  }

  /** What came on the upstream's standalone stream: logged, and remembered by its id, to be resumed there. */
  take(id: string | undefined, data: string | undefined): void {
    if (id !== undefined) this.#storage.kv.put(UPSTREAM_EVENT_ID, id);
    if (data !== undefined) this.append(STANDALONE_STREAM, data);
  }

  #openUpstream(socket: WebSocket): void {
    const opening = Promise.withResolvers<void>();
    this.#opening?.resolve();
    this.#opening =
      bindingOf(this.session()?.metadata ?? {}).sid === undefined ? undefined : opening;
    // A bridge that is cut here says nothing any more.
    if (this.#opening) setTimeout(() => opening.resolve(), UPSTREAM_HELD_MS);
    this.#subscribers.send(socket, this.#backend());
  }

  /** Sends the next page to a reader that is behind; one that has had the last of its stream is let go. */
  sendPage(socket: WebSocket): void {
    const state = this.#subscribers.state(socket);
    if (state?.replayingFrom === undefined) return;
    const page = this.#messages().page(state.stream, state.replayingFrom);
    this.#subscribers.sendPage(socket, page);
    if (page.complete && !this.exchanges().isOpen(state.stream)) {
      this.#subscribers.close(socket, CLOSE_CODES.finished);
    }
  }

  /** Tells the bridge whose standalone stream of the upstream's to hold. */
  #backend(): string {
    const { url, sid, version } = bindingOf(this.session()?.metadata ?? {});
    const lastEventId = this.#storage.kv.get<string>(UPSTREAM_EVENT_ID);
    return BACKEND + JSON.stringify({ url, sid, version, lastEventId });
  }

  /** The messages of the session that there is now. None of them waits for a first reader as `/v1`'s events do. */
  #messages(): EventLog {
    const { epoch } = this.#record();
    if (this.#log?.epoch !== epoch) {
      const { sql } = this.#storage;
      this.#log = { epoch, log: new EventLog(sql, "messages", this.#limits, epoch, 0) };
    }
    return this.#log.log;
  }

  #record(): GatewaySession {
    const record = this.#holder.record();
    if (!record) throw new Error("the session has ended");
    return record;
  }
}
