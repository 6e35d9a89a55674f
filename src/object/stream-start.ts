/** Where a stream starts in the log, and what it says before its first event. */
import { NATIVE_STREAM } from "../session/event-id.ts";
import type { StreamStart } from "../session/host.ts";
import { RETRY_MS } from "../session/limits.ts";
import { encodeFrame } from "../session/sse-frame.ts";
import type { EventLog } from "./event-log.ts";

export interface Opening {
  /** SSE frames. */
  readonly preamble: string;
  /** The events after this seq follow. */
  readonly position: number;
}

/**
 * `queueClaimed`: another reader is being sent the queue. `spread` is in [0, 1) and
 * spreads out the clients' reconnections.
 */
export function openStream(
  log: EventLog,
  start: StreamStart,
  queueClaimed: boolean,
  spread: number,
): Opening {
  switch (start.kind) {
    case "earliest":
      return opening(log, log.beforeFirst, spread);
    case "queued":
      // The queue is for one first reader; where it is gone before it took it, for the next.
      return opening(log, queueClaimed ? log.lastSeq : log.beforeQueue, spread);
    case "after": {
      const verdict = log.resume(start.lastEventId);
      if (verdict.kind === "gap" || verdict.position.stream !== NATIVE_STREAM)
        return gap(log, start.lastEventId, spread);
      return opening(log, verdict.position.seq, spread);
    }
  }
}

/**
 * `retry`, and the id of the place where the stream starts: a frame without
 * data dispatches nothing and still sets the client's last event id (WHATWG
 * HTML, 9.2.6), so that a client cut before its first event resumes too. The
 * first `retry` is the contract's; the second spreads out clients that are cut
 * together by a deploy.
 */
function opening(log: EventLog, position: number, spread: number): Opening {
  const retry = RETRY_MS + Math.floor(spread * RETRY_MS);
  const id = log.idOf(position, NATIVE_STREAM);
  return { preamble: encodeFrame({ retry: RETRY_MS }) + encodeFrame({ retry, id }), position };
}

/** The client asked for a place that the log cannot give: say so, and start with all that is retained. */
function gap(log: EventLog, requested: string, spread: number): Opening {
  const { preamble, position } = opening(log, log.beforeFirst, spread);
  return { preamble: preamble + gapFrame(log, requested), position };
}

/**
 * Says that events after `requested` are no longer retained; all that is follows.
 * Its id is the place before that, so a client that is cut right after it is
 * not told of a second gap.
 */
export function gapFrame(log: EventLog, requested: string): string {
  const position = log.beforeFirst;
  const earliest = log.lastSeq > position ? log.idOf(position + 1, NATIVE_STREAM) : null;
  const data = JSON.stringify({ requested, earliest });
  return encodeFrame({ id: log.idOf(position, NATIVE_STREAM), event: "gap", data });
}
