/**
 * Lines of a running workerd, each as one JSON line. The Worker's own are JSON
 * already. workerd's are not: a refused CONNECT, a crash, a bad configuration.
 */
import { createLogger } from "../src/logger.ts";
import { COUNTED_MS, MOST_KINDS } from "../src/signals/repeats.ts";

/** workerd's line when the bridge cuts a reader. The service logs `reader.cut` for that. */
const CUT = /remote\.jsg\.Error: reader cut: \w+$/;

/** workerd's line for each alarm that was spread before it started. `npm run serve` logs `alarms.spread` for those. */
const SPREAD = /SQLite alarm overdue, running despite AlarmManager mismatch/;

/** Characters of a line that are kept: an exception may quote content. */
const LONGEST = 500;

/** Words with a digit, such as numbers and references: lines that differ in these alone are of one kind. */
const VARYING = /\b\w*\d\w*/g;

interface Counted {
  /** The last line of the kind. */
  line: string;
  /** How many came after the first, which was written at once. */
  repeated: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Writes workerd's lines as JSON. workerd says the same for each connection that it refuses, so a
 * stranger could fill the log. So each kind gets two lines in ten seconds at most: the first one as it
 * comes, and the last one with `repeated`, the number of those after the first.
 */
export class WorkerdLog {
  readonly #write: (line: string) => void;
  /** The oldest first. */
  readonly #kinds = new Map<string, Counted>();

  constructor(write: (line: string) => void) {
    this.#write = write;
  }

  /** Takes a line, the Worker's own or workerd's. */
  take(line: string): void {
    if (isLogLine(line)) return this.#write(line);
    if (line.trim() === "" || CUT.test(line) || SPREAD.test(line)) return;
    const kept = line.slice(0, LONGEST);
    const kind = kept.replace(VARYING, "#");
    const counted = this.#kinds.get(kind);
    if (counted) {
      counted.line = kept;
      counted.repeated++;
      return;
    }
    const [oldest] = this.#kinds.keys();
    if (oldest !== undefined && this.#kinds.size >= MOST_KINDS) this.#sum(oldest);
    const timer = setTimeout(() => this.#sum(kind), COUNTED_MS).unref();
    this.#kinds.set(kind, { line: kept, repeated: 0, timer });
    this.#say({ line: kept });
  }

  /** Writes what is counted by now: no more lines come. */
  end(): void {
    for (const kind of this.#kinds.keys()) this.#sum(kind);
  }

  #sum(kind: string): void {
    const counted = this.#kinds.get(kind);
    if (!counted) return;
    clearTimeout(counted.timer);
    this.#kinds.delete(kind);
    const { line, repeated } = counted;
    if (repeated > 0) this.#say({ line, repeated });
  }

  #say(fields: { readonly line: string; readonly repeated?: number }): void {
    createLogger("warn", this.#write).warn("workerd", fields);
  }
}

function isLogLine(line: string): boolean {
  if (!line.startsWith("{")) return false;
  try {
    return typeof (JSON.parse(line) as { event?: unknown }).event === "string";
  } catch {
    return false;
  }
}
