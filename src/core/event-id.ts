/**
 * Event ids. An id is `EPOCH-SEQ-STREAM`:
 * - EPOCH (15 characters, base 36) holds the session's creation time and a random part. A
 *   session deleted and made again under the same id has another epoch, so an old id is
 *   foreign there and points at no event (as in Centrifuge: offset plus epoch).
 * - SEQ (12 digits) counts the events of one log: the session's own, or the gateway's.
 * - STREAM is the event's stream: 0 in the session's own log, all others in the gateway's.
 * Ids of one log sort as strings in the order of publishing.
 */

/** The stream that `/v1` publishes to and reads from. */
export const NATIVE_STREAM = 0;

/** A place in a session's log: just after the event with this `seq`; 0 is before the first. */
interface EventPosition {
  readonly epoch: string;
  readonly seq: number;
  readonly stream: number;
}

const TIME_DIGITS = 9;
const RANDOM_DIGITS = 6;
const SEQ_DIGITS = 12;
export const EVENT_ID = /^([0-9a-z]{15})-(\d{12})-(0|[1-9]\d{0,8})$/;

/** A new epoch. `random` is in [0, 1). */
export function newEpoch(now: number, random: number): string {
  const time = Math.max(0, Math.floor(now)).toString(36).padStart(TIME_DIGITS, "0");
  const salt = Math.floor(random * 36 ** RANDOM_DIGITS)
    .toString(36)
    .padStart(RANDOM_DIGITS, "0");
  return time + salt;
}

export function formatEventId({ epoch, seq, stream }: EventPosition): string {
  return `${epoch}-${String(seq).padStart(SEQ_DIGITS, "0")}-${stream}`;
}

/** Reads an event id. Undefined if the text is not one. */
export function parseEventId(text: string): EventPosition | undefined {
  const match = EVENT_ID.exec(text);
  if (!match) return undefined;
  const [, epoch = "", seq = "", stream = ""] = match;
  return { epoch, seq: Number(seq), stream: Number(stream) };
}

/** The seq in an id that this service made. It validates nothing: read a client's text by `parseEventId`. */
export function seqOf(id: string): number {
  return Number(id.split("-", 2)[1]);
}

/** The events of a log: `first` is its oldest retained seq, `last` the newest; empty if `last < first`. */
interface RetainedRange {
  readonly epoch: string;
  readonly first: number;
  readonly last: number;
}

export type ResumeVerdict =
  | { readonly kind: "resume"; readonly position: EventPosition }
  | { readonly kind: "gap"; readonly reason: "malformed" | "foreign" | "trimmed" | "future" };

/**
 * Whether a client that saw `lastEventId` can get every later event: it can if the log
 * retains the next one, or nobody has published it yet.
 */
export function resumeVerdict(lastEventId: string, log: RetainedRange): ResumeVerdict {
  const position = parseEventId(lastEventId);
  if (!position) return { kind: "gap", reason: "malformed" };
  if (position.epoch !== log.epoch) return { kind: "gap", reason: "foreign" };
  if (position.seq < log.first - 1) return { kind: "gap", reason: "trimmed" };
  if (position.seq > log.last) return { kind: "gap", reason: "future" };
  return { kind: "resume", position };
}
