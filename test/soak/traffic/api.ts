/** A client of the service that tells apart acknowledged, refused and unknown outcomes. */
import type { Outcome } from "../history.ts";
import type { Journal } from "../journal.ts";

/** Milliseconds until a client gives up on an answer. A relay may be silent. */
const PATIENCE_MS = 5000;

/** Codes of a 503 that say that nothing changed. Any other code is a failure. */
const REFUSALS = new Set(["message_channel_full", "session_disconnected"]);

export interface Answer<T> {
  readonly outcome: Outcome;
  /** The body of an acknowledgement. */
  readonly json?: T;
  readonly etag?: string;
}

export interface Request {
  readonly method: string;
  readonly path: string;
  readonly body?: unknown;
  readonly ifMatch?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Api {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  async send<T>(
    origin: string,
    { method, path, body, ifMatch, headers: more }: Request,
  ): Promise<Answer<T>> {
    let response: Response;
    let text: string;
    try {
      response = await fetch(origin + path, {
        method,
        signal: AbortSignal.timeout(PATIENCE_MS),
        headers: {
          ...(body !== undefined && { "content-type": "application/json" }),
          ...(ifMatch !== undefined && { "if-match": ifMatch }),
          ...more,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      text = await response.text();
    } catch {
      return { outcome: "unknown" };
    }
    const { status, headers } = response;
    const outcome = outcomeOf(status, text);
    if (outcome === undefined) {
      this.#journal.surprise(`${method} ${path.replaceAll(/[0-9a-f-]{36}/g, ":id")}: ${status}`);
      return { outcome: "unknown" };
    }
    const etag = headers.get("etag");
    return {
      outcome,
      ...(outcome === "done" && text !== "" && { json: JSON.parse(text) as T }),
      ...(etag !== null && { etag }),
    };
  }
}

/** Undefined for an answer that no call of the soak may get. */
function outcomeOf(status: number, text: string): Outcome | undefined {
  if (status >= 200 && status < 300) return "done";
  if (status === 404) return "missing";
  if (status === 412) return "refused";
  const code = status === 503 ? codeOf(text) : undefined;
  if (code === undefined) return undefined;
  return REFUSALS.has(code) ? "refused" : "unknown";
}

/** The code of a problem document; undefined if it is none. */
function codeOf(text: string): string | undefined {
  try {
    return (JSON.parse(text) as { code?: string }).code;
  } catch {
    return undefined;
  }
}
