/**
 * The writers of a session: hibernatable WebSockets, each feeding one reader's
 * stream through a bridge. What a writer is must survive eviction, so it lies in
 * the socket's attachment; a socket without one is not ours and is left alone.
 */
import { NATIVE_STREAM } from "../core/event-id.ts";
import { BEHIND, CONFIRM } from "./protocol.ts";
import type { LogPage } from "./event-log.ts";

/** A writer as its socket's attachment says. */
export interface SubscriberState {
  readonly kind: "subscriber";
  readonly stream: number;
  /**
   * Where a writer that is behind stands: the last seq that it was sent. It
   * gets pages from the log as it asks for them, and no events as they come.
   * Undefined: it has been sent all there is, and gets events as they come.
   */
  readonly replayingFrom?: number;
  /** The last queued event that it was sent, while it has not been heard to have lived on after it. */
  readonly unconfirmedThrough?: number;
}

function stateOf(socket: WebSocket): SubscriberState | undefined {
  const attachment: unknown = socket.deserializeAttachment();
  const isSubscriber =
    typeof attachment === "object" &&
    attachment !== null &&
    (attachment as { kind?: unknown }).kind === "subscriber";
  // Only this module writes attachments of that kind.
  return isSubscriber ? (attachment as SubscriberState) : undefined;
}

export class Subscribers {
  readonly #ctx: DurableObjectState;
  readonly #states = new Map<WebSocket, SubscriberState>();

  /** Adopts the writers that were there before the object was loaded. */
  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
    for (const socket of ctx.getWebSockets()) {
      const state = stateOf(socket);
      if (state) this.#states.set(socket, state);
    }
  }

  /** All writers, of every stream. */
  get size(): number {
    return this.#states.size;
  }

  count(stream: number): number {
    return this.#on(stream).length;
  }

  /** Whether some reader of the stream is sent events as they come. */
  hasLive(stream: number): boolean {
    return this.#on(stream).some(([, state]) => state.replayingFrom === undefined);
  }

  state(socket: WebSocket): SubscriberState | undefined {
    return this.#states.get(socket);
  }

  /** Takes a new socket as a writer that has been sent everything up to `seq` of its stream. */
  attach(socket: WebSocket, stream: number, seq: number): void {
    this.#ctx.acceptWebSocket(socket);
    this.#save(socket, { kind: "subscriber", stream, replayingFrom: seq });
  }

  /** Sends a page to a writer that is behind; with the last page it is live. */
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

  /** A writer was sent queued events up to `seq`: asks it to say when its reader has taken them. */
  awaitConfirmation(socket: WebSocket, seq: number): void {
    const state = this.#states.get(socket);
    if (!state) return;
    this.#save(socket, { ...state, unconfirmedThrough: seq });
    this.send(socket, CONFIRM);
  }

  /** A writer's reader has taken the queued events that it was sent. Returns the last of them. */
  confirmed(socket: WebSocket): number | undefined {
    const state = this.#states.get(socket);
    if (state?.unconfirmedThrough === undefined) return undefined;
    const { unconfirmedThrough, ...settled } = state;
    this.#save(socket, settled);
    return unconfirmedThrough;
  }

  /** Whether some reader is being sent the queue. */
  get isQueueBeingRead(): boolean {
    return [...this.#states.values()].some(
      ({ unconfirmedThrough }) => unconfirmedThrough !== undefined,
    );
  }

  /** Sends one or more frames, as one message, to every live writer of a stream. */
  broadcast(stream: number, message: Uint8Array): void {
    for (const [socket, state] of this.#on(stream)) {
      if (state.replayingFrom === undefined) this.send(socket, message);
    }
  }

  /** Makes every live writer of a stream one that is behind at `seq`, and returns them. */
  startReplay(stream: number, seq: number): WebSocket[] {
    const live = this.#on(stream).filter(([, state]) => state.replayingFrom === undefined);
    for (const [socket, state] of live) this.#save(socket, { ...state, replayingFrom: seq });
    return live.map(([socket]) => socket);
  }

  send(socket: WebSocket, message: string | Uint8Array): void {
    try {
      socket.send(message);
    } catch {
      // The socket is closing; its close event, or the client's next visit, settles the rest.
      this.#states.delete(socket);
    }
  }

  /** Ends every writer; the session's own stream gets a last frame, where one is given. Returns how many there were. */
  closeAll(code: number, lastFrame?: Uint8Array): number {
    const { size } = this.#states;
    for (const [socket, { stream }] of this.#states) {
      if (lastFrame && stream === NATIVE_STREAM) this.send(socket, lastFrame);
      close(socket, code);
    }
    this.#states.clear();
    return size;
  }

  /** Ends the writers of one stream. */
  closeStream(stream: number, code: number): void {
    for (const [socket] of this.#on(stream)) this.close(socket, code);
  }

  /** Ends the live writers of one stream. One that is behind is ended by whoever sends its last page. */
  closeLive(stream: number, code: number): void {
    for (const [socket, state] of this.#on(stream)) {
      if (state.replayingFrom === undefined) this.close(socket, code);
    }
  }

  /** Ends one writer. */
  close(socket: WebSocket, code: number): void {
    this.#states.delete(socket);
    close(socket, code);
  }

  /** Sends a control word to every writer of a stream. */
  sendControl(stream: number, word: string): void {
    for (const [socket] of this.#on(stream)) this.send(socket, word);
  }

  /** A socket has closed. Returns the writer that it was; undefined where it was none (any more). */
  detach(socket: WebSocket): SubscriberState | undefined {
    const state = this.#states.get(socket);
    this.#states.delete(socket);
    // Completes the closing handshake with a code of our own: reserved ones must not be echoed.
    close(socket, 1000);
    return state;
  }

  #on(stream: number): [WebSocket, SubscriberState][] {
    return [...this.#states].filter(([, state]) => state.stream === stream);
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
