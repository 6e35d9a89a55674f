/**
 * The subscribers of a session: hibernatable WebSockets, each of which feeds one reader's stream
 * through a bridge. The state of a subscriber must survive eviction, so it lies in the socket's
 * attachment. A socket without one is not ours, and this leaves it alone.
 */
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { LogPage } from "./event-log.ts";
import { BEHIND, CLOSE_CODES } from "./protocol.ts";

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
  /** Its bridge says what its reader takes. */
  readonly witness?: true;
  /**
   * The id of the last event that the readers of the session were known to have taken, when this was
   * written. It costs no row, and outlives the object's memory as the socket does.
   */
  readonly taken?: string;
}

export class Subscribers {
  readonly #ctx: DurableObjectState;
  readonly #states = new Map<WebSocket, SubscriberState>();

  /**
   * Adopts the subscribers that were there before the object was loaded, but for those whose
   * connection is closing: their close event settles the rest.
   */
  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    for (const socket of ctx.getWebSockets()) {
      const state = stateIn(socket);
      if (state && isOpen(socket)) this.#states.set(socket, state);
    }
  }

  /** Whether any connection is there, or has gone without a close event so far. */
  get isEmpty(): boolean {
    return this.#states.size === 0;
  }

  /** The subscribers whose connection is open, on every stream. */
  get size(): number {
    return [...this.#states.keys()].filter(isOpen).length;
  }

  count(stream: number): number {
    return this.#on(stream).length;
  }

  /** The state of a subscriber. Undefined: the socket is none, or its connection is closing. */
  state(socket: WebSocket): SubscriberState | undefined {
    return isOpen(socket) ? this.#states.get(socket) : undefined;
  }

  /** The ids of the last events taken, as the attachments of a stream's subscribers have them. */
  taken(stream: number): string[] {
    return this.#on(stream).flatMap((socket) => this.#states.get(socket)?.taken ?? []);
  }

  /** The subscriber of a stream that is its witness; undefined if it has none. */
  witness(stream: number): WebSocket | undefined {
    return this.#on(stream).find((socket) => this.#states.get(socket)?.witness);
  }

  /** The first subscriber of a stream. */
  first(stream: number): WebSocket | undefined {
    return this.#on(stream)[0];
  }

  /** Stores a change of state in the socket's attachment. */
  note(socket: WebSocket, change: Pick<SubscriberState, "witness" | "taken">): void {
    const state = this.#states.get(socket);
    if (state) this.#save(socket, { ...state, ...change });
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

  /** Sends one or more frames, as one message, to every live subscriber of a stream. Returns how many there are. */
  broadcast(stream: number, message: Uint8Array): number {
    const sockets = this.#on(stream, true);
    for (const socket of sockets) this.send(socket, message);
    return sockets.length;
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
      // The subscriber's reader would miss this message and get those that follow.
      this.close(socket, CLOSE_CODES.unreadable);
    }
  }

  /** Sends a control word to every subscriber of a stream, or of any. */
  sendControl(word: string, stream?: number): void {
    for (const socket of this.#on(stream)) this.send(socket, word);
  }

  /** Ends every subscriber and returns how many there were. `lastFrame` is for the session's own stream. */
  closeAll(code: number, lastFrame?: Uint8Array): number {
    const sockets = this.#on();
    if (lastFrame) for (const socket of this.#on(NATIVE_STREAM)) this.send(socket, lastFrame);
    for (const socket of sockets) this.close(socket, code);
    return sockets.length;
  }

  /** Ends the subscribers of one stream, or its live ones alone. */
  closeStream(stream: number, code: number, liveOnly = false): void {
    for (const socket of this.#on(stream, liveOnly)) this.close(socket, code);
  }

  /** Ends a subscriber. It holds the session open until its close event, as one that leaves by itself does. */
  close(socket: WebSocket, code: number): void {
    try {
      socket.close(code);
    } catch {
      // Closed already.
    }
  }

  /**
   * A socket has closed. Returns what it was, even if this object never knew it: it may have
   * been closing when the object woke. Undefined: not one of ours.
   */
  detach(socket: WebSocket): SubscriberState | undefined {
    const state = this.#states.get(socket) ?? stateIn(socket);
    this.#states.delete(socket);
    // Completes the closing handshake with a code of our own: reserved ones must not be echoed.
    this.close(socket, 1000);
    return state;
  }

  #on(stream?: number, liveOnly = false): WebSocket[] {
    const sockets: WebSocket[] = [];
    for (const [socket, state] of this.#states) {
      const isMeant = !liveOnly || state.replayingFrom === undefined;
      if (!isMeant || (stream !== undefined && state.stream !== stream)) continue;
      if (isOpen(socket)) sockets.push(socket);
    }
    return sockets;
  }

  #save(socket: WebSocket, state: SubscriberState): void {
    this.#states.set(socket, state);
    socket.serializeAttachment(state);
  }
}

/** The state in a socket's attachment; undefined if the socket is not ours. */
function stateIn(socket: WebSocket): SubscriberState | undefined {
  // Only this module writes attachments of that kind.
  const state = socket.deserializeAttachment() as SubscriberState | null | undefined;
  return state?.kind === "subscriber" ? state : undefined;
}

function isOpen({ readyState }: WebSocket): boolean {
  return readyState === WebSocket.READY_STATE_OPEN;
}
