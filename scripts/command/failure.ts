/** How the command ends: its statuses, and the one line for each failure. */
import { HoldfastError } from "../../src/client/error.ts";
import { OptionError } from "../command-line.ts";

/** The statuses of the command. `--help` lists them. */
export const STATUS = {
  done: 0,
  failed: 1,
  usage: 2,
  notFound: 3,
  refused: 4,
  noAnswer: 5,
  interrupted: 130,
  unread: 141,
  terminated: 143,
} as const;

export const STATUSES_IN_WORDS = `status  0 done  1 failed  2 bad arguments  3 no such session  4 not allowed
        5 no answer  130 Ctrl-C  141 nobody reads the output  143 SIGTERM`;

/** A failure of which line and status are known. */
export class CommandFailure extends Error {
  override readonly name = "CommandFailure";
  readonly status: number;

  constructor(status: number, line: string) {
    super(line);
    this.status = status;
  }
}

/** Line and status for whatever was thrown. `url`: the service that was called, if one was. */
export function endOf(failure: unknown, url?: string): { readonly line: string; status: number } {
  if (failure instanceof CommandFailure) return { line: failure.message, status: failure.status };
  if (failure instanceof OptionError) return { line: failure.message, status: STATUS.usage };
  if (failure instanceof HoldfastError) return endOfCall(failure, url);
  const text = failure instanceof Error ? failure.message : String(failure);
  const [line = ""] = text.split("\n");
  // The client's for an argument that it cannot use, such as a bad URL.
  const isArgument = failure instanceof TypeError || failure instanceof RangeError;
  return { line, status: isArgument ? STATUS.usage : STATUS.failed };
}

function endOfCall(failure: HoldfastError, url = "the service") {
  const { status, code, detail } = failure;
  if (status === 0) {
    const why = reasonOf(failure) ?? detail;
    return { line: `no answer from ${url} (HOLDFAST_URL): ${why}`, status: STATUS.noAnswer };
  }
  const said = `${status} ${code}: ${detail}`;
  if (status === 401) return { line: `${said} (HOLDFAST_TOKEN)`, status: STATUS.refused };
  if (status === 403) return { line: said, status: STATUS.refused };
  if (code === "session_not_found") return { line: said, status: STATUS.notFound };
  return { line: said, status: failure.mayPass ? STATUS.noAnswer : STATUS.failed };
}

/** Why no answer came, in the system's word, such as `ECONNREFUSED`; undefined if nobody says. */
export function reasonOf({ cause }: HoldfastError): string | undefined {
  const inner = cause instanceof Error ? cause.cause : undefined;
  const { code, message } = (inner ?? {}) as {
    readonly code?: unknown;
    readonly message?: unknown;
  };
  return [code, message].find((one) => typeof one === "string");
}
