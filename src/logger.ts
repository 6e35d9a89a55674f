/**
 * Logs: one JSON line an event. A line at `info` holds no session's id in full, and no line
 * holds metadata, data or an event's content. Callers redact ids (`redactSessionId`), or log
 * at `debug`.
 */

export type LogLevel = "debug" | "info" | "warn" | "error";

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

/**
 * Characters that JSON leaves as they are and a terminal may take for the end of a line or for a
 * command: DEL, the C1 controls with NEL, and Unicode's line ends.
 */
// oxlint-disable-next-line no-control-regex -- they are what it is about
const UNESCAPED = /[\u007f-\u009f\u2028\u2029]/g;

function oneLine(value: object): string {
  const escape = (char: string) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(UNESCAPED, escape);
}

/** Input cannot forge a line: every character that could end one is escaped. */
export function createLogger(
  level: LogLevel,
  write = (line: string): void => console.log(line),
): Logger {
  const log = (at: LogLevel) => (event: string, fields?: LogFields) => {
    if (RANK[at] < RANK[level]) return;
    write(oneLine({ time: new Date().toISOString(), level: at, event, ...fields }));
  };
  return {
    debugging: level === "debug",
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
  };
}

/**
 * A failure in a log line: its kind and message, without stack or cause. For a SyntaxError it is the
 * kind alone: its message quotes the text that could not be read, which is someone's content.
 */
export function describeFailure(failure: unknown): string {
  if (failure instanceof SyntaxError) return failure.name;
  return failure instanceof Error ? `${failure.name}: ${failure.message}` : String(failure);
}
