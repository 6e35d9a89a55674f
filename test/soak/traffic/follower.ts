/**
 * A subscriber as in a browser: EventSource, which reconnects by itself with the last id. As a page
 * would, it also reconnects after an answer that says that the service failed, and after a
 * connection that has gone silent.
 */
import { EventSource } from "eventsource";
import type * as api from "../../../src/core/api.ts";
import type { Following, Gap, Seen } from "../history.ts";
import type { Journal } from "../journal.ts";

/** The service failed, or has not yet noticed that this subscriber's old connections are dead. */
const PASSING = new Set([503, 429]);

interface FollowerOptions {
  readonly name: string;
  readonly session: string;
  readonly origin: string;
  /** Milliseconds without a byte after which the connection counts as dead. */
  readonly silenceMs: number;
}

export class Follower {
  readonly #seen: Seen[] = [];
  readonly #source: EventSource;
  readonly #options: FollowerOptions;
  /** The last id that it was given. EventSource does not tell that of a frame without data. */
  #place = "";
  #end: string | undefined;
  #opened: () => void = () => {};
  /** Resolves with the first connection, or when there will be none. */
  readonly opened = new Promise<void>((resolve) => (this.#opened = resolve));

  constructor(journal: Journal, options: FollowerOptions) {
    this.#options = options;
    const { session, origin, silenceMs } = options;
    const url = `${origin}/v1/sessions/${session}/events?from=earliest`;
    const source = new EventSource(url, { fetch: patientFetch(journal, silenceMs) });
    this.#source = source;
    source.addEventListener("open", this.#opened);
    source.addEventListener("message", ({ lastEventId: id, data: sent }) => {
      const data = String(sent);
      this.#seen.push({ kind: "event", id, data });
      this.#place = id;
      const publishedAt = journal.publishedAt.get(data);
      if (publishedAt !== undefined) {
        journal.timeline.deliveredAfter(performance.now() - publishedAt);
      }
    });
    source.addEventListener("gap", ({ lastEventId, data }) => {
      const said = gapIn(JSON.parse(String(data)) as api.Gap);
      this.#seen.push({ kind: "gap", ...said, place: this.#place, at: journal.tick() });
      this.#place = lastEventId;
    });
    for (const name of ["deleted", "expired"]) {
      source.addEventListener(name, () => this.#over(name));
    }
    source.addEventListener("error", ({ code }) => {
      if (source.readyState === source.CLOSED) this.#over(String(code));
    });
  }

  get session(): string {
    return this.#options.session;
  }

  get ended(): boolean {
    return this.#end !== undefined;
  }

  /** The id of the last received event. */
  get lastId(): string {
    return this.#seen.findLast((one) => one.kind === "event")?.id ?? "";
  }

  close(): Following {
    this.#source.close();
    const { name: follower, session } = this.#options;
    return { follower, session, seen: this.#seen, end: this.#end };
  }

  #over(end: string): void {
    this.#end ??= end;
    this.#source.close();
    this.#opened();
  }
}

/** The content of a `gap`, as it is in an event's data or in a page of JSON. */
export function gapIn({ requested, earliest }: api.Gap): Pick<Gap, "requested" | "earliest"> {
  return { requested: requested ?? "", earliest: earliest ?? "" };
}

/** Fails in the cases in which EventSource would wrongly give up, or would wait for ever. */
function patientFetch(journal: Journal, silenceMs: number) {
  return async (url: string | URL, init: object): Promise<Response> => {
    const { signal, ...rest } = init as RequestInit;
    const dead = new AbortController();
    const die = () => dead.abort(new Error("nothing came for too long"));
    let timer = setTimeout(die, silenceMs);
    const signals = signal ? [signal, dead.signal] : [dead.signal];
    try {
      const response = await fetch(url, { ...rest, signal: AbortSignal.any(signals) });
      if (response.status !== 200) {
        clearTimeout(timer);
        await response.body?.cancel();
        if (response.status === 404) return response;
        if (!PASSING.has(response.status)) journal.surprise(`following: ${response.status}`);
        throw new Error(`following answered ${response.status}`);
      }
      const watched = response.body?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            clearTimeout(timer);
            timer = setTimeout(die, silenceMs);
            controller.enqueue(chunk);
          },
          flush: () => clearTimeout(timer),
        }),
      );
      return new Response(watched ?? null, response);
    } catch (failure) {
      clearTimeout(timer);
      throw failure;
    }
  };
}
