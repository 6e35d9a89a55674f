/**
 * Attaches readers to a session, up to `MAX_WRITERS`. A reader whose connection broke must not keep
 * its place, and only a write shows that it broke. So before the object refuses a reader, it has the
 * bridges write to their readers.
 */
import { ERROR_KINDS, type ErrorCode } from "../core/errors.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import { requireKnownVersion, type Caller } from "../core/caller.ts";
import type { StreamStart } from "../core/host.ts";
import { PROBE_INTERVAL_MS, PROBE_MS } from "../core/limits.ts";
import { matches, type GatewayStart } from "../gateway/contract.ts";
import type { Gateway } from "../gateway/object/gateway.ts";
import type { Logger } from "../logger.ts";
import { MORE, PROBE, TAKEN } from "../stream/protocol.ts";
import { hasNews } from "../stream/event-page.ts";
import type { Subscribers } from "../stream/subscribers.ts";
import type { Waiters } from "../stream/waiters.ts";
import type { Lifecycle, LiveSession } from "./lifecycle.ts";
import { sleep } from "../wire/timers.ts";

/** The host's request to attach a reader, or a request that waits for what follows an event. */
export interface Attachment {
  readonly caller: Caller;
  readonly start: StreamStart | GatewayStart | WaiterStart;
}

interface WaiterStart {
  readonly kind: "news";
  /** The last event that the request has seen. */
  readonly after: string;
}

interface AttachingParts {
  readonly life: Lifecycle;
  readonly subscribers: Subscribers;
  readonly waiters: Waiters;
  readonly gateway: Gateway;
  readonly maxWriters: number;
  readonly log: Logger;
}

const FULL = ERROR_KINDS.too_many_writers.status;

export class Attaching {
  readonly #parts: AttachingParts;
  /** Settles with the next reader that leaves. */
  #leave = Promise.withResolvers<false>();
  /** A check for readers that have gone. Settles when it is over; all attaches that wait for a place share it. */
  #round: Promise<void> | undefined;
  /** When bridges were last asked whether their readers are there. */
  #probedAt = 0;

  constructor(parts: AttachingParts) {
    this.#parts = parts;
  }

  /** Answers a WebSocket upgrade. If no place is free, waits for one and then checks everything again. */
  async attach({ caller, start }: Attachment): Promise<Response> {
    requireKnownVersion(caller.version);
    if (start.kind === "news") return this.#attachWaiter(caller, start.after);
    const answer = this.#attach(caller, start);
    if (answer.status !== FULL) return answer;
    const underWay = this.#round;
    if (!underWay) return this.#attachDuring(this.#findGone(), caller, start);
    // That round may miss a reader that has gone since it began, so a whole one follows it.
    const next = await this.#attachDuring(underWay, caller, start);
    return next.status === FULL ? this.#attachDuring(this.#findGone(), caller, start) : next;
  }

  /** Attaches a reader as soon as a place is free, until the round is over. */
  async #attachDuring(
    round: Promise<void>,
    caller: Caller,
    start: StreamStart | GatewayStart,
  ): Promise<Response> {
    const over = round.then(() => true);
    for (;;) {
      const isOver = await Promise.race([over, this.#leave.promise]);
      const answer = this.#attach(caller, start);
      if (isOver || answer.status !== FULL) return answer;
    }
  }

  #attachWaiter(caller: Caller, after: string): Response {
    const { life, waiters } = this.#parts;
    const now = Date.now();
    const session = life.owned(caller, now);
    if (!session) return refusal("session_not_found");
    const webSocket = waiters.attach(now);
    if (!webSocket) return refusal("too_many_writers");
    // An event may have come since the request looked.
    if (hasNews(session.events.read({ after, limit: 1 }))) waiters.notifyAll();
    return new Response(null, { status: 101, webSocket });
  }

  /** A word from a reader's bridge. */
  receive(socket: WebSocket, message: string | ArrayBuffer): void {
    const { life, subscribers, gateway } = this.#parts;
    const session = life.live(Date.now());
    const stream = subscribers.state(socket)?.stream;
    if (!session || stream === undefined || typeof message !== "string") return;
    if (stream !== NATIVE_STREAM) gateway.receive(session.record, socket, stream, message);
    else if (message === MORE) session.events.sendPage(socket);
    else if (message.startsWith(TAKEN)) session.events.confirm(message.slice(TAKEN.length));
  }

  /** The socket of a reader, or of a request that waits, has closed. */
  closed(socket: WebSocket, code: number, reason: string): void {
    const { life, subscribers, waiters, gateway, log } = this.#parts;
    if (waiters.detach(socket)) return life.release(Date.now());
    const left = subscribers.detach(socket);
    if (!left) return;
    this.#leave.resolve(false);
    this.#leave = Promise.withResolvers();
    const now = Date.now();
    const session = life.load(now);
    if (!session) return;
    if (left.stream === NATIVE_STREAM) session.events.left(reason, left.taken);
    else gateway.left(session.record, socket);
    life.release(now);
    log.debug("writer.leave", { session: session.record.id, code, writers: subscribers.size });
  }

  #attach(caller: Caller, start: StreamStart | GatewayStart): Response {
    const { life, subscribers, maxWriters } = this.#parts;
    const now = Date.now();
    const session = life.owned(caller, now);
    if (!session || ("match" in start && !matches(session.record, start.match))) {
      return refusal("session_not_found");
    }
    if (start.kind === "after" && session.events.hasSeenEnd(start.lastEventId)) {
      life.touch(session, now);
      return new Response(null, { status: 204 });
    }
    if (subscribers.size >= maxWriters) return refusal("too_many_writers");
    const { 0: client, 1: server } = new WebSocketPair();
    if ("match" in start) {
      if (!this.#attachToGateway(session, server, start, now)) {
        return new Response(null, { status: 400 });
      }
    } else this.#attachToEvents(session, server, start, now);
    return new Response(null, { status: 101, webSocket: client });
  }

  #attachToGateway(
    session: LiveSession,
    socket: WebSocket,
    start: GatewayStart,
    now: number,
  ): boolean {
    const { life, gateway } = this.#parts;
    const streams = gateway.streamsOf(session.record);
    const place = streams.placeOf(start);
    if (!place) return false;
    life.hold(session, now);
    if (start.headers) gateway.hear(start.headers);
    if (start.kind === "listen") gateway.listen(session.record, socket, start);
    else streams.attach(socket, start, place, session.record.metadata);
    return true;
  }

  #attachToEvents(session: LiveSession, socket: WebSocket, start: StreamStart, now: number): void {
    const { life, subscribers, log } = this.#parts;
    // A page that was reloaded has left its old reader behind; the probe shows that it has gone.
    const isDue = now - this.#probedAt >= PROBE_INTERVAL_MS;
    if (isDue && session.events.writers > 0) this.#probe(now, NATIVE_STREAM);
    // The reader of an ended stream soon leaves by itself.
    if (session.events.ended) life.touch(session, now);
    else life.hold(session, now);
    session.events.attach(socket, start);
    const { id } = session.record;
    log.debug("writer.attach", { session: id, start: start.kind, writers: subscribers.size });
  }

  #probe(now: number, stream?: number): void {
    this.#probedAt = now;
    this.#parts.subscribers.sendControl(PROBE, stream);
  }

  #findGone(): Promise<void> {
    if (this.#round) return this.#round;
    this.#probe(Date.now());
    this.#round = sleep(PROBE_MS).then(() => {
      this.#round = undefined;
    });
    return this.#round;
  }
}

/** Refuses an attachment. The host reads the status. */
function refusal(code: ErrorCode): Response {
  return new Response(code, { status: ERROR_KINDS[code].status });
}
