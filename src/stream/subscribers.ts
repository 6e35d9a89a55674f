/**
 * The subscribers of a session: hibernatable WebSockets, each of which feeds one reader's stream
 * through a bridge. The state of a subscriber must survive eviction, so it lies in the socket's
 * attachment. A socket without one is not ours and is left alone.
 */
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { LogPage } from "./event-log.ts";
import { BEHIND, CONFIRM } from "./protocol.ts";

/** A subscriber as its socket's attachment says. */
interface SubscriberState {
  readonly kind: "subscriber";
  readonly stream: number;
  /**
   * The last seq that a subscriber that is behind was sent. It gets pages from the log as it
   * asks for them, and no events as they come. Undefined: the subscriber is live. It has been
   * sent all there is, and gets events as they come.
   */
  readonly replayingFrom?: number;
  /** The last queued event that it was sent, until its reader is known to have lived on after it. */
  readonly unconfirmedThrough?: number;
}

export class Subscribers {
  readonly #ctx: DurableObjectState;
  readonly #states = new Map<WebSocket, SubscriberState>();

  /** Adopts the subscribers that were there before the object was loaded. */
  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    for (const socket of ctx.getWebSockets()) {
      // Only this module writes attachments of that kind.
      const state = socket.deserializeAttachment() as SubscriberState | null | undefined;
      if (state?.kind === "subscriber") this.#states.set(socket, state);
    }
  }

  get size(): number {
    return this.#states.size;
  }

  count(stream: number): number {
    return this.#on(stream).length;
  }

  hasLive(stream: number): boolean {
    return this.#on(stream, true).length > 0;
  }

  state(socket: WebSocket): SubscriberState | undefined {
    return this.#states.get(socket);
  }

  /** Takes a new socket as a subscriber that has been sent everything up to `seq` of its stream. */
  attach(socket: WebSocket, stream: number, seq: number): void {
    this.#ctx.acceptWebSocket(socket);
    this.#save(socket, { kind: "subscriber", stream, replayingFrom: seq });
  }

  /** Sends a page to a subscriber that is behind; with the last page it is live. */
  sendPage(socket: WebSocket, page: LogPage): void {
    const state = this.#states.get(socket);
    if (!state) return;
    for (const frame of page.frames) this.send(socket, frame);
    const { replayingFrom: _replayed, ...live } = state;
    if (page.complete) this.#save(socket, live);
    else {
      this.#save(socket, { ...state, replayingFrom: page.through });
      this.send(socket, BEHIND);
    }
  }

  /** A subscriber was sent queued events up to `seq`: asks it to say when its reader has taken them. */
  awaitConfirmation(socket: WebSocket, seq: number): void {
    const state = this.#states.get(socket);
    if (!state) return;
    this.#save(socket, { ...state, unconfirmedThrough: seq });
    this.send(socket, CONFIRM);
  }

  /** The reader has taken the queued events that it was sent. Returns the last of them. */
  confirmed(socket: WebSocket): number | undefined {
    const state = this.#states.get(socket);
    if (state?.unconfirmedThrough === undefined) return undefined;
    const { unconfirmedThrough, ...settled } = state;
    this.#save(socket, settled);
    return unconfirmedThrough;
  }

  /** Whether some reader is being sent the queue. */
  get isQueueBeingRead(): boolean {
    return [...this.#states.values()].some((state) => state.unconfirmedThrough !== undefined);
  }

  /** Sends one or more frames, as one message, to every live subscriber of a stream. */
  broadcast(stream: number, message: Uint8Array): void {
    for (const socket of this.#on(stream, true)) this.send(socket, message);
  }

  /** Makes every live subscriber of a stream one that is behind at `seq`, and returns them. */
  startReplay(stream: number, seq: number): WebSocket[] {
    const live = this.#on(stream, true);
    for (const socket of live) {
      const state = this.#states.get(socket);
      if (state) this.#save(socket, { ...state, replayingFrom: seq });
    }
    return live;
  }

  send(socket: WebSocket, message: string | Uint8Array): void {
    try {
      socket.send(message);
    } catch {
      // The socket is closing; its close event, or the client's next visit, settles the rest.
      this.#states.delete(socket);
    }
  }

  /** Sends a control word to every subscriber of a stream. */
  sendControl(stream: number, word: string): void {
    for (const socket of this.#on(stream)) this.send(socket, word);
  }

  /** Ends every subscriber and returns how many there were. `lastFrame` is for the session's own stream. */
  closeAll(code: number, lastFrame?: Uint8Array): number {
    const sockets = [...this.#states.keys()];
    if (lastFrame) for (const socket of this.#on(NATIVE_STREAM)) this.send(socket, lastFrame);
    for (const socket of sockets) this.close(socket, code);
    return sockets.length;
  }

  /** Ends the subscribers of one stream, or its live ones alone. */
  closeStream(stream: number, code: number, liveOnly = false): void {
    for (const socket of this.#on(stream, liveOnly)) this.close(socket, code);
  }

  close(socket: WebSocket, code: number): void {
    this.#states.delete(socket);
    close(socket, code);
  }

  /** A socket has closed. Returns whether it was still a subscriber. */
  detach(socket: WebSocket): boolean {
    const was = this.#states.delete(socket);
    // Completes the closing handshake with a code of our own: reserved ones must not be echoed.
    close(socket, 1000);
    return was;
  }

  #on(stream: number, liveOnly = false): WebSocket[] {
    const sockets: WebSocket[] = [];
    for (const [socket, state] of this.#states) {
      const isMeant = !liveOnly || state.replayingFrom === undefined;
      if (state.stream === stream && isMeant) sockets.push(socket);
    }
    return sockets;
  }

  #save(socket: WebSocket, state: SubscriberState): void {
    this.#states.set(socket, state);
    socket.serializeAttachment(state);
  }
}

function close(socket: WebSocket, code: number): void {
  try {
    socket.close(code);
  } catch {
    // Closed already.
  }
}
