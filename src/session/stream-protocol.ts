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

/**
 * From the object: what was sent includes events that were queued for a first
 * reader; say `taken` once this reader is known to have lived on after taking them.
 */
export const CONFIRM = "confirm";

/** From the bridge: the reader took what was sent, and its connection was still good a while later. */
export const TAKEN = "taken";

/** Close codes of the object's side; the range 4000 to 4999 is an application's own (RFC 6455). */
export const CLOSE_CODES = {
  /** The session expired or was deleted; its last frame has been sent. */
  ended: 4000,
  /** The caller disconnected the session's writers. */
  disconnected: 4001,
} as const;

/** Close code of the bridge's side: the reader has gone or was cut. */
export const READER_GONE = 4100;
