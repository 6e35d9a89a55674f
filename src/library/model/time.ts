/** Time as an argument, so that a test can drive it. Users' classes default to `systemClock`. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  /** Runs `task` every `intervalMs` milliseconds until the returned function is called. */
  every(intervalMs: number, task: () => void): () => void;
}

/** A timer in JavaScript holds at most 2^31-1 ms; a longer one fires at once. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

export const systemClock: Clock = {
  now: () => Date.now(),
  every(intervalMs, task) {
    const timer: unknown = setInterval(task, Math.min(intervalMs, LONGEST_TIMER_MS));
    // In Node a clean-up timer must not keep a finished process alive.
    if (isUnrefable(timer)) timer.unref();
    // clearInterval takes what setInterval returned, whatever the runtime calls its type.
    return () => clearInterval(timer as Parameters<typeof clearInterval>[0]);
  },
};

function isUnrefable(timer: unknown): timer is { unref(): void } {
  return typeof timer === "object" && timer !== null && "unref" in timer;
}

/**
 * A time as Go's encoding/json writes it: RFC 3339 with up to nine digits of a second, trailing
 * zeros trimmed. A `Date` holds milliseconds, so the text stands beside it for the other digits.
 */
export interface Timestamp {
  /** Milliseconds since the epoch; finer digits are cut. */
  readonly ms: number;
  /** Canonical text: what Go would write for this time. */
  readonly text: string;
}

/** Go's zero time: a record without a time has this one. */
export const ZERO_TIME: Timestamp = Object.freeze({
  ms: Date.parse("0001-01-01T00:00:00.000Z"),
  text: "0001-01-01T00:00:00Z",
});

const FORM =
  /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(Z|([+-])(\d{2}):(\d{2}))$/;

/** Go keeps nanoseconds and cuts finer digits. */
const DIGITS = 9;

/** Reads RFC 3339 as Go's `time.Time` does. Undefined if the text is not a time, or its day or hour does not exist. */
export function parseTimestamp(text: string): Timestamp | undefined {
  const match = FORM.exec(text);
  if (!match) return undefined;
  const [, year = "", month = "", day = "", hour = "", minute = "", second = ""] = match;
  const [, , , , , , , fraction = "", zone = "", , zoneHour = "00", zoneMinute = "00"] = match;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  if (Number(zoneHour) > 23 || Number(zoneMinute) > 59) return undefined;
  if (Number(day) < 1 || Number(day) > daysIn(Number(year), Number(month))) return undefined;

  const digits = fraction.slice(0, DIGITS).replace(/0+$/, "");
  const clock = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
  // Go writes an offset of zero as Z, whatever its sign was.
  const offset = Number(zoneHour) + Number(zoneMinute) === 0 ? "Z" : zone;
  const ms = Date.parse(`${clock}.${digits.slice(0, 3).padEnd(3, "0")}${offset}`);
  return { ms, text: `${clock}${digits && `.${digits}`}${offset}` };
}

/** The text of a time known to the millisecond, in UTC. Throws a RangeError outside years 0 to 9999. */
export function timestampFromMs(ms: number): Timestamp {
  const iso = new Date(ms).toISOString();
  // Years outside 0 to 9999 get a sign and six digits, which RFC 3339 does not have.
  if (!/^\d{4}-/.test(iso)) throw new RangeError(`${iso} is not a time that RFC 3339 can write`);
  return { ms: Math.trunc(ms), text: iso.replace(/\.?0*Z$/, "Z") };
}

/** 0 for a month that does not exist. */
function daysIn(year: number, month: number): number {
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
  return [31, leap ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1] ?? 0;
}
