/**
 * Lines of a running workerd, each as one JSON line. The Worker's own are JSON
 * already. workerd's are not: a refused CONNECT, a crash, a bad configuration.
 */
import { createLogger } from "../src/logger.ts";

/** workerd's line when the bridge cuts a reader. The service logs `reader.cut` for that. */
const CUT = /remote\.jsg\.Error: reader cut: \w+$/;

/** workerd's line for each alarm that was spread before it started. `npm run serve` logs `alarms.spread` for those. */
const SPREAD = /SQLite alarm overdue, running despite AlarmManager mismatch/;

/** Characters of a line that are kept: an exception may quote content. */
const LONGEST = 500;

/** Passes the line on, as JSON if it is not. */
export function passOn(line: string, write: (line: string) => void): void {
  if (isLogLine(line)) write(line);
  else if (line.trim() !== "" && !CUT.test(line) && !SPREAD.test(line)) {
    createLogger("warn", write).warn("workerd", { line: line.slice(0, LONGEST) });
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
