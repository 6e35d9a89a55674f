/**
 * The words that a session's object and the bridge in the Worker say to each other over a
 * subscriber's socket, besides SSE frames (binary messages).
 *
 * Replay is paged: a log may hold far more than the bridge may queue, and a WebSocket gives its
 * sender no back-pressure. A subscriber that is behind gets one page, ending in `behind`, and the
 * next one when the bridge has drained and asks for `more`. The last page ends without a word,
 * and the subscriber is live.
 */

/** From the object: this page is not the last, ask for more. */
export const BEHIND = "behind";

/** From the bridge: drained, send the next page. */
export const MORE = "more";

/**
 * From the object: report what your reader has taken, now and from now on. One bridge of a session at
 * a time is its witness, so that the object gets one message for an event, however many readers
 * there are.
 */
export const WITNESS = "witness";

/**
 * From the object, to every bridge, before two ids: much is unread. Say once that the reader has
 * taken everything up to the first, as soon as the connection has taken everything up to the second
 * and two later writes, `CONFIRM_SOON_MS` apart.
 */
export const REPORT = "report ";

export function reportUpTo(id: string, through: string): string {
  return `${REPORT}${id} ${through}`;
}

export function readReport(word: string): readonly [id: string, through: string] {
  const [id = "", through = ""] = word.slice(REPORT.length).split(" ");
  return [id, through];
}

/** From the object: check whether the reader is still there. */
export const PROBE = "probe";

/** From the bridge, before an event's id: the reader has taken everything up to that event. */
export const TAKEN = "taken ";

/** Close codes of the object's side; the range 4000 to 4999 is an application's own (RFC 6455). */
export const CLOSE_CODES = {
  /** The session expired or was deleted; its last frame has been sent. */
  ended: 4000,
  /** The caller disconnected the session's readers. */
  disconnected: 4001,
  /** The stream's last message has been sent. */
  finished: 4002,
  /** Another reader has taken the stream over: a message goes to one reader. */
  superseded: 4003,
  /** A page of the stream could not be read; its reader may come back for it. */
  unreadable: 4004,
  /** There is something to read for a request that waits. */
  news: 4005,
} as const;

/**
 * Close code of the bridge's side: the reader has gone or was cut. The reason is the id of the last
 * event that it is known to have taken, or empty.
 */
export const READER_GONE = 4100;

/** Close code of the side of a request that waited for an event, and waits no longer (`waiters.ts`). */
export const WAITER_GONE = 4101;

/**
 * From the object, on a gateway session's standalone stream: a `Backend` as JSON follows. The
 * bridge holds the upstream's own stream, so that the object can sleep.
 */
export const BACKEND = "backend ";

/** The upstream session whose stream the bridge is to hold. */
export interface Backend {
  readonly url: string | undefined;
  readonly sid: string | undefined;
  readonly version: string | undefined;
  /** The last event of that stream that the object was given. */
  readonly lastEventId: string | undefined;
  /** The request that opens the stream of a server of the stateless era, `subscriptions/listen`. */
  readonly subscription?: string | undefined;
}

/**
 * From the bridge: the upstream has answered the request for its stream, with the stream or a
 * refusal. Servers send some messages there and nowhere else, so a call waits for this while a
 * stream is being opened.
 */
export const UPSTREAM_HELD = "held";

/** From the bridge: an event of the upstream's stream, after its encoded id and a line break. */
export const UPSTREAM_MESSAGE = "upstream ";

export function upstreamMessage(id: string | undefined, data: string): string {
  return `${UPSTREAM_MESSAGE}${encodeURIComponent(id ?? "")}\n${data}`;
}

export function readUpstreamMessage(word: string): { id: string | undefined; data: string } {
  const end = word.indexOf("\n");
  const id = decodeURIComponent(word.slice(UPSTREAM_MESSAGE.length, end));
  return { id: id === "" ? undefined : id, data: word.slice(end + 1) };
}

/** From the bridge: the milliseconds that the upstream asks readers of its stream to wait before they reconnect. */
export const UPSTREAM_RETRY = "retry ";

/** From the bridge: the upstream may no longer know its session. A `Lost` as JSON follows. */
export const UPSTREAM_LOST = "lost ";

export interface Lost {
  /** The upstream session. */
  readonly sid: string | undefined;
  /** The reader's headers that are sent on, its credential among them. An earlier version says none. */
  readonly headers?: Readonly<Record<string, string>>;
}
