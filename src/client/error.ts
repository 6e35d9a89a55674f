/** The only error that the client throws for an answer, or for a missing one. */

export interface HoldfastErrorOptions extends ErrorOptions {
  /** Milliseconds after which the service wants to be asked again (`Retry-After`). */
  readonly retryAfterMs?: number | undefined;
}

/**
 * The service's refusal, or a failure to get its answer.
 *
 * @example
 * try {
 *   await client.put(id, content, { ifMatch: session.etag });
 * } catch (error) {
 *   if (!(error instanceof HoldfastError) || error.code !== "precondition_failed") throw error;
 *   // Somebody else has changed the session: read it again.
 * }
 *
 * @example
 * // In a function that gets a token or a ticket: ends the call, since asking again would not help.
 * throw new HoldfastError(403, "forbidden", "Log in again.");
 */
export class HoldfastError extends Error {
  override readonly name = "HoldfastError";
  /** The HTTP status of the answer; 0 where no answer came. */
  readonly status: number;
  /**
   * The service's code, such as `session_not_found` (RFC 9457 with the member `code`). The client's own:
   * `no_answer`, `unexpected_answer` (the URL is not that of a Holdfast service, or a proxy answered) and
   * `event_too_large`.
   */
  readonly code: string;
  /** A sentence for people. */
  readonly detail: string;
  /** Milliseconds after which the service wants to be asked again; undefined where it does not say. */
  readonly retryAfterMs: number | undefined;
  /**
   * Whether an earlier try of this call got no answer, so that it may have been carried out. A 412 then may
   * mean that this call itself has changed the session.
   */
  lostAnswer = false;

  constructor(status: number, code: string, detail: string, options: HoldfastErrorOptions = {}) {
    super(status === 0 ? `${code}: ${detail}` : `${status} ${code}: ${detail}`, options);
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** Whether a later try can succeed: no answer, 408, 425, 429 and 5xx (RFC 9110, 15; RFC 6585, 4; RFC 8470, 5.2). */
  get mayPass(): boolean {
    return [0, 408, 425, 429].includes(this.status) || this.status >= 500;
  }
}

/** No answer came, or only a part of it. */
export function noAnswer(detail: string, cause?: unknown): HoldfastError {
  return new HoldfastError(0, "no_answer", detail, cause === undefined ? {} : { cause });
}

/** Reads the error from an answer that is not a success. `now` is in milliseconds since the epoch. */
export async function errorOf(response: Response, now: number): Promise<HoldfastError> {
  const { status, headers } = response;
  // The text of a proxy's error page is of no use to a program.
  const isJson = headers.get("content-type")?.includes("json");
  const problem = isJson ? objectIn(await response.text()) : undefined;
  const code = typeof problem?.["code"] === "string" ? problem["code"] : "unexpected_answer";
  const detail = problem?.["detail"];
  return new HoldfastError(
    status,
    code,
    typeof detail === "string" ? detail : `The answer has status ${status} and no Holdfast error.`,
    { retryAfterMs: retryAfterOf(headers.get("retry-after"), now) },
  );
}

/** The milliseconds that a `Retry-After` asks for: seconds, or a date (RFC 9110, 10.2.3). */
function retryAfterOf(text: string | null, now: number): number | undefined {
  if (text === null) return undefined;
  const ms = /^\d+$/.test(text.trim()) ? Number(text) * 1000 : Date.parse(text) - now;
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** The object that a text is as JSON; undefined for any other text. */
export function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
