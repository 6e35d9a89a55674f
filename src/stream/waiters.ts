/**
 * Requests that wait for the next event. The Worker holds a socket to the session's object for
 * each, so that the object can sleep: a pending call would keep it in memory. Nothing is sent over
 * the socket. The object closes it when there is news, and the Worker then asks for it. A waiter
 * is no subscriber, and takes nothing from the queue.
 */
import type { StreamSocket } from "../core/host.ts";
import { MIN_WAIT_MS } from "../core/limits.ts";
import { CLOSE_CODES, WAITER_GONE } from "./protocol.ts";

/** The tag of a waiter's socket, by which the platform finds it; it outlives the object's memory. */
const WAITER = "waiter";

/** A waiter as its socket's attachment says. */
interface WaiterState {
  readonly kind: typeof WAITER;
  /** Milliseconds since the epoch. */
  readonly since: number;
}

export class Waiters {
  readonly #ctx: DurableObjectState;
  readonly #most: number;
  /** Read from the platform once: every call to the object checks whether any request waits. */
  readonly #sockets: Set<WebSocket>;

  /** `most` may wait at a time. Adopts the waiters that were there before the object was loaded. */
  constructor(ctx: DurableObjectState, most: number) {
    this.#ctx = ctx;
    this.#most = most;
    this.#sockets = new Set(ctx.getWebSockets(WAITER));
  }

  get isEmpty(): boolean {
    return this.#sockets.size === 0 || this.#open().length === 0;
  }

  /**
   * Adds a waiter, and returns the Worker's end of its socket; undefined if there is no place. If
   * all places are taken, the oldest waiter gives way and is answered early: its client may have
   * gone, which the platform shows only at the answer. Each waiter keeps its place for
   * `MIN_WAIT_MS`, so that living clients do not drive each other out at once.
   */
  attach(now: number): WebSocket | undefined {
    const open = this.#open();
    if (open.length >= this.#most) {
      const [oldest] = open.toSorted((one, other) => sinceOf(one) - sinceOf(other));
      if (!oldest || now - sinceOf(oldest) < MIN_WAIT_MS) return undefined;
      closeQuietly(oldest, CLOSE_CODES.news);
    }
    const { 0: client, 1: server } = new WebSocketPair();
    this.#ctx.acceptWebSocket(server, [WAITER]);
    server.serializeAttachment({ kind: WAITER, since: now } satisfies WaiterState);
    this.#sockets.add(server);
    return client;
  }

  /** Wakes every waiter: there is news, or there will be none. */
  notifyAll(): void {
    for (const socket of this.#open()) closeQuietly(socket, CLOSE_CODES.news);
  }

  /** A socket has closed. Returns whether it was a waiter's. */
  detach(socket: WebSocket): boolean {
    if (stateIn(socket)?.kind !== WAITER) return false;
    this.#sockets.delete(socket);
    closeQuietly(socket, CLOSE_CODES.news);
    return true;
  }

  #open(): WebSocket[] {
    return [...this.#sockets].filter(({ readyState }) => readyState === WebSocket.READY_STATE_OPEN);
  }
}

/** In the Worker: resolves when the object has closed the socket, or `ms` have passed. */
export function waitForNotification(socket: StreamSocket, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      closeQuietly(socket, WAITER_GONE);
      resolve();
    };
    const timer = setTimeout(over, ms);
    socket.addEventListener("close", over);
    socket.addEventListener("error", over);
    socket.accept?.();
  });
}

function sinceOf(socket: WebSocket): number {
  return stateIn(socket)?.since ?? 0;
}

function stateIn(socket: WebSocket): WaiterState | undefined {
  // Only this module writes attachments of that kind.
  return (socket.deserializeAttachment() as WaiterState | null) ?? undefined;
}

function closeQuietly(socket: Pick<StreamSocket, "close">, code: number): void {
  try {
    socket.close(code);
  } catch {
    // Closed already, from the other side.
  }
}
