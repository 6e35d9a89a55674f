/**
 * Logs: one JSON line an event. Never a session's id in full at `info`, never
 * metadata, data or the content of an event; callers pass ids through
 * `redactSessionId`, or log at `debug`.
 */
import type { LogLevel } from "./config.ts";

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };

export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Logger {
  /** Whether `debug` lines are written: guards work that only a debug line needs. */
  readonly debugging: boolean;
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
}

/** JSON escapes control characters, so input cannot forge a line of its own. */
export function createLogger(level: LogLevel, write: (line: string) => void = writeLine): Logger {
  const log = (at: LogLevel) => (event: string, fields?: LogFields) => {
    if (RANK[at] < RANK[level]) return;
    write(JSON.stringify({ time: new Date().toISOString(), level: at, event, ...fields }));
  };
  return {
    debugging: level === "debug",
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
  };
}

function writeLine(line: string): void {
  console.log(line);
}

/** What a log line says of a failure: its kind and message, without a stack or its cause. */
export function describeFailure(failure: unknown): string {
  return failure instanceof Error ? `${failure.name}: ${failure.message}` : String(failure);
}
