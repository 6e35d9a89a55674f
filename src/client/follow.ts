// Names `Symbol.asyncDispose` for a program whose own `lib` does not.
/// <reference lib="esnext.disposable" preserve="true" />
/** Follows a session's stream, over as many connections as it takes (docs/delivery.md). */
import { createParser } from "eventsource-parser";
import { errorOf, HoldfastError, noAnswer, objectIn } from "./error.ts";
import { Credential, notHoldfast, type Service } from "./service.ts";
import { Attempt, Backoff, type OnRetry } from "./timing.ts";
import type { Gap, Ticket } from "../core/api.ts";

/** An event that was published. */
export class FollowedEvent {
  readonly type = "event";
  /** Give it as `lastEventId` to go on after this event. */
  readonly id: string;
  /** `message` where the publisher named none. */
  readonly event: string;
  /** A string as it was published, or the JSON of any other value. */
  readonly data: string;

  constructor(id: string, event: string, data: string) {
    this.id = id;
    this.event = event;
    this.data = data;
  }

  /** Parses `data`. Throws a SyntaxError if it is not JSON. Numbers become doubles. */
  json<T = unknown>(): T {
    return JSON.parse(this.data) as T;
  }
}

/** Events are missing here; everything that is retained follows. */
export interface FollowedGap extends Gap {
  readonly type: "gap";
}

/** The last item: the stream is complete, or its session is gone. */
export interface FollowedEnd {
  readonly type: "end";
  readonly reason: "ended" | "expired" | "deleted";
}

export type Followed = FollowedEvent | FollowedGap | FollowedEnd;

/**
 * Gives a ticket for one connection: its text, the answer of `ticket()`, or the `Response` of a route of
 * yours that passes that answer on. It is asked before each connection. If it throws, or answers with a
 * status that may pass, it is asked again later; a `HoldfastError` or another status ends the stream.
 */
export type TicketSource = () => GivenTicket | Promise<GivenTicket>;
type GivenTicket = string | Pick<Partial<Ticket>, "ticket"> | Response;

export interface FollowOptions {
  /** The last event that was seen; the stream goes on after it. */
  readonly lastEventId?: string | undefined;
  /** Where a reader without an id starts. Absent: at the first event that no reader is known to have taken. */
  readonly from?: "earliest" | undefined;
  /** Gives tickets, which take the token's place. For pages, which should hold no token. */
  readonly ticket?: string | TicketSource | undefined;
  /** Ends the stream: the next item throws its reason. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Milliseconds of silence after which a connection counts as dead (45,000: three times the service's
   * `KEEPALIVE_SECONDS`). A machine that slept for longer notices within 5 s.
   */
  readonly silenceMs?: number | undefined;
  /** Called each time that the stream is open. */
  readonly onOpen?: (() => void) | undefined;
  /** Called when a connection has failed or ended, before the next. Absent: the client's `onRetry`. */
  readonly onRetry?: OnRetry | undefined;
}

const SILENCE_MS = 45_000;
/** Milliseconds before a client comes back, unless the stream says otherwise by `retry:`. */
const RETRY_MS = 1000;
/** The shortest such wait, in milliseconds: a server that asks for no wait and cuts each stream would be called without pause. */
const LEAST_RETRY_MS = 100;
/** Characters that one event may have, several times what a service can be set to. A stream that never ends one would fill the memory. */
const MAX_EVENT_LENGTH = 16 * 1024 * 1024;

/** The reason of an abort when the reader leaves its loop. No caller sees it. */
const LEFT = new Error("The reader has left.");

/** The items of a stream. It connects when the first is asked for; leaving the loop ends the connection. */
export class Following implements AsyncIterableIterator<Followed> {
  readonly #stop = new AbortController();
  readonly #items: AsyncGenerator<Followed, undefined>;

  /** Throws a TypeError or RangeError that names the option which is wrong. */
  constructor(service: Service, path: string, options: FollowOptions) {
    const { lastEventId = "", silenceMs = SILENCE_MS } = options;
    if (!/^[!-~]*$/.test(lastEventId)) throw new TypeError("lastEventId: must be an event's id");
    if (!(silenceMs > 0)) throw new RangeError("silenceMs: must be over 0");
    this.#items = itemsOf(service, path, options, this.#stop);
  }

  async next(): Promise<IteratorResult<Followed, undefined>> {
    try {
      return await this.#items.next();
    } catch (failure) {
      if (failure === LEFT) return { done: true, value: undefined };
      throw failure;
    }
  }

  /** Ends the connection, also while an item is awaited. */
  async return(): Promise<IteratorResult<Followed, undefined>> {
    this.#stop.abort(LEFT);
    await this.#items.return(undefined).catch(() => {});
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** As `return`. For `await using`, which ends the connection however the block is left. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/** Where the stream is: what the next connection asks for. */
interface Place {
  lastEventId: string | undefined;
  readonly backoff: Backoff;
}

async function* itemsOf(
  service: Service,
  path: string,
  options: FollowOptions,
  stop: AbortController,
): AsyncGenerator<Followed, undefined> {
  const { signal: outer, silenceMs = SILENCE_MS, onRetry = service.onRetry } = options;
  const abort = (): void => stop.abort(outer?.reason);
  outer?.addEventListener("abort", abort);
  if (outer?.aborted) abort();
  const backoff = new Backoff(service.timing, RETRY_MS, onRetry);
  const place: Place = { lastEventId: options.lastEventId || undefined, backoff };
  const credential = new Credential(service);
  try {
    for (;;) {
      const attempt = new Attempt(service.timing, stop.signal);
      try {
        const answered = connect(service, path, options, place, credential, attempt.signal);
        const response = await attempt.within(silenceMs, "The stream", answered);
        credential.accepted();
        if (response.status === 204) {
          yield { type: "end", reason: "ended" };
          return undefined;
        }
        options.onOpen?.();
        for await (const item of read(response, attempt, place, silenceMs)) {
          // An item that arrived before an abort is not handed over after it.
          stop.signal.throwIfAborted();
          yield item;
          if (item.type === "end") return undefined;
        }
        throw noAnswer("The connection ended, and the stream goes on.");
      } catch (failure) {
        const source = options.ticket ?? service.tokenSource;
        if (!credential.mayAskAnew(failure, source)) await backoff.wait(failure, stop.signal);
      } finally {
        attempt.close();
      }
    }
  } finally {
    outer?.removeEventListener("abort", abort);
  }
}

/** Opens a connection: 200 with the stream, or 204. */
async function connect(
  service: Service,
  path: string,
  { ticket, from }: FollowOptions,
  { lastEventId }: Place,
  credential: Credential,
  signal: AbortSignal,
): Promise<Response> {
  const headers = new Headers({ accept: "text/event-stream" });
  const query: Record<string, string | undefined> = lastEventId === undefined ? { from } : {};
  if (ticket === undefined) {
    const token = await credential.next();
    if (token !== undefined) headers.set("authorization", `Bearer ${token}`);
    if (lastEventId !== undefined) headers.set("last-event-id", lastEventId);
  } else {
    query["ticket"] = await ticketFrom(ticket, service);
    // A page's request with this header would need a preflight.
    query["lastEventId"] = lastEventId;
  }
  signal.throwIfAborted();
  const response = await service.fetch(service.urlOf(path, query), { headers, signal });
  if (!response.ok) throw await errorOf(response, service.timing.now());
  if (response.status !== 204 && !isStream(response)) throw notHoldfast(response);
  return response;
}

async function ticketFrom(source: string | TicketSource, service: Service): Promise<string> {
  // Code without types may give nothing.
  let given: GivenTicket | null | undefined =
    typeof source === "function" ? await source() : source;
  if (given && typeof given === "object" && "ok" in given) {
    if (!given.ok) throw await errorOf(given, service.timing.now());
    given = (objectIn(await given.text()) ?? {}) as Partial<Ticket>;
  }
  const text = typeof given === "string" ? given : given?.ticket;
  if (typeof text === "string" && text !== "") return text;
  throw new HoldfastError(401, "unauthorized", "ticket: gives none");
}

function isStream({ headers }: Response): boolean {
  return headers.get("content-type")?.startsWith("text/event-stream") ?? false;
}

/**
 * Reads the items of one connection. It takes a chunk when the items of the one before it are handed over,
 * so a slow loop slows the connection down. The service cuts a reader that is too slow, which comes back.
 */
async function* read(
  { body }: Response,
  attempt: Attempt,
  place: Place,
  silenceMs: number,
): AsyncGenerator<Followed, void> {
  if (!body) throw new HoldfastError(200, "unexpected_answer", "fetch: gives no body to stream");
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const items: Followed[] = [];
  let isTooLarge = false;
  const parser = createParser({
    maxBufferSize: MAX_EVENT_LENGTH,
    // Called at the end of a frame, so the id of an event that was cut does not count.
    onId: (id) => {
      place.lastEventId = id || undefined;
    },
    onRetry: (ms) => {
      place.backoff.baseMs = Math.max(LEAST_RETRY_MS, ms);
    },
    onEvent: ({ event, data }) => {
      items.push(itemOf(place.lastEventId ?? "", event, data));
    },
    onError: ({ type }) => {
      isTooLarge ||= type === "max-buffer-size-exceeded";
    },
  });
  try {
    for (;;) {
      const { done, value } = await attempt.within(
        silenceMs,
        "A byte of the stream",
        reader.read(),
      );
      if (done) return;
      place.backoff.succeeded();
      parser.feed(decoder.decode(value, { stream: true }));
      yield* items.splice(0);
      if (isTooLarge) {
        throw new HoldfastError(
          200,
          "event_too_large",
          `An event is over ${MAX_EVENT_LENGTH} characters.`,
        );
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** The service's own events become items of their own; nobody else can publish under their names. */
function itemOf(id: string, event = "message", data: string): Followed {
  if (event === "ended" || event === "expired" || event === "deleted") {
    return { type: "end", reason: event };
  }
  const gap = event === "gap" ? objectIn(data) : undefined;
  if (!gap) return new FollowedEvent(id, event, data);
  const { requested, earliest } = gap as unknown as Gap;
  return { type: "gap", requested, earliest };
}
