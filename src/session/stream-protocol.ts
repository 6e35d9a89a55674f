/**
 * What a session's object and the bridge in the Worker say to each other over a
 * writer's socket, besides SSE frames (binary messages).
 *
 * Replay is paged. A log may hold far more than the bridge may queue, and a
 * WebSocket gives its sender no back-pressure; so a writer that is behind gets one
 * page, ending in `behind`, and the next one when the bridge has drained and
 * asks for `more`. The last page ends without a word, and the writer is live.
 */

/** From the object: this page is not the last, ask for more. */
export const BEHIND = "behind";

/** From the bridge: drained, send the next page. */
export const MORE = "more";

/** Close codes of the object's side; the range 4000 to 4999 is an application's own (RFC 6455). */
export const CLOSE_CODES = {
  /** The session expired or was deleted; its last frame has been sent. */
  ended: 4000,
  /** The caller disconnected the session's writers. */
  disconnected: 4001,
  /** The stream's last message has been sent. */
  finished: 4002,
  /** Another reader has taken the stream over: a message goes to one reader. */
  superseded: 4003,
} as const;

/** Close code of the bridge's side: the reader has gone or was cut. */
export const READER_GONE = 4100;

/**
 * On a gateway session's standalone stream: words that carry JSON after their
 * name. The bridge holds the upstream's own stream, so that the object can sleep.
 */
export const BACKEND = "backend ";

/** What `BACKEND` carries, from the object: the upstream session whose stream to hold. */
export interface Backend {
  readonly url: string | undefined;
  readonly sid: string | undefined;
  readonly version: string | undefined;
}

/** From the bridge: a message that the upstream sent on its stream. */
export const UPSTREAM_MESSAGE = "upstream ";

/** From the bridge: the upstream no longer knows this session (a `Backend`). */
export const UPSTREAM_LOST = "lost ";
