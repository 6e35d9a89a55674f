/** The client of the HTTP API. */
import { HoldfastError } from "./error.ts";
import { Following, type FollowOptions } from "./follow.ts";
import { Service, type Call, type HoldfastClientOptions } from "./service.ts";
import { systemTiming, type Timing } from "./timing.ts";
import type * as api from "../core/api.ts";

export interface CallOptions {
  /** Ends the call, which then throws the signal's reason. `AbortSignal.timeout(ms)` bounds it. */
  readonly signal?: AbortSignal | undefined;
}

export interface ConditionOptions extends CallOptions {
  /** The call succeeds only if the session still has this `etag`; else it fails with 412 `precondition_failed`. */
  readonly ifMatch?: string | undefined;
}

export interface PutOptions extends ConditionOptions {
  /** `*`: the call succeeds only if there is no such session; else it fails with 412 `precondition_failed`. */
  readonly ifNoneMatch?: "*" | undefined;
}

export interface GetOptions extends CallOptions {
  /** `false` reads the session without extending its life. Default: `true`. */
  readonly touch?: boolean | undefined;
}

export type PublishOptions = CallOptions & api.PublishOptions;
export type ReadOptions = CallOptions & api.ReadOptions;
export type SubjectOptions = CallOptions & api.SubjectOptions;
export type FilterOptions = CallOptions & api.FilterOptions;
export type ListOptions = CallOptions & api.ListOptions;

/**
 * Calls a Holdfast service from a page, from Node, or from a Worker.
 *
 * A call does not give up on a failure that may pass: no network, no answer within 60 s, 408, 425, 429 and
 * 5xx. It waits longer and longer, up to 45 s or what `Retry-After` asks for, and tries again until its
 * `signal` aborts. No call is carried out twice by that: a publish has an `Idempotency-Key`, a session that
 * is made has its id, and the others are the same the second time. Any other refusal is a `HoldfastError`.
 *
 * @example
 * const client = new HoldfastClient({ url: "https://holdfast.example.com", token });
 * const { id } = await client.create({ ttlSeconds: 600 });
 * await client.publish(id, { data: { n: 1 } });
 * await client.end(id);
 * for await (const item of client.follow(id)) {
 *   if (item.type === "event") console.log(item.json());
 * }
 */
export class HoldfastClient {
  readonly #service: Service;

  /** Throws a TypeError for a bad URL, a bad token, or a platform without fetch. `timing` is for tests. */
  constructor(options: HoldfastClientOptions, timing: Timing = systemTiming) {
    this.#service = new Service(options, timing);
  }

  /** Makes a session. Throws 409 `session_already_exists` if a session has the given `id`. */
  async create(
    session: api.NewSession = {},
    { signal }: CallOptions = {},
  ): Promise<api.TaggedSession> {
    const id = session.id ?? randomUuid();
    const call: Call = { method: "POST", path: "/v1/sessions", body: { ...session, id } };
    try {
      return await this.#session(call, signal);
    } catch (failure) {
      const isOwn = session.id === undefined && isLostCreate(failure);
      if (!isOwn) throw failure;
      // Nobody else can have made the session with this random id. An empty patch returns the session, and
      // needs the same scope as a create.
      return this.patch(id, {}, { signal });
    }
  }

  /** Reads a session. This counts as use, unless `touch` is false. Throws 404 `session_not_found`. */
  get(id: string, { touch, signal }: GetOptions = {}): Promise<api.TaggedSession> {
    return this.#session({ method: "GET", path: pathOf(id), query: { touch } }, signal);
  }

  /** Makes a session, or replaces its content. Its events stay. */
  put(
    id: string,
    content: api.SessionContent = {},
    { ifMatch, ifNoneMatch, signal }: PutOptions = {},
  ): Promise<api.TaggedSession> {
    const headers = { "if-match": ifMatch, "if-none-match": ifNoneMatch };
    return this.#session({ method: "PUT", path: pathOf(id), headers, body: content }, signal);
  }

  /** Changes a session by a merge patch (RFC 7396). Throws 404 `session_not_found`. */
  patch(
    id: string,
    patch: api.SessionPatch,
    { ifMatch, signal }: ConditionOptions = {},
  ): Promise<api.TaggedSession> {
    const headers = { "if-match": ifMatch };
    return this.#session({ method: "PATCH", path: pathOf(id), headers, body: patch }, signal);
  }

  /** Ends a session and its streams. No error where there is none, unless `ifMatch` is given. */
  async delete(id: string, { ifMatch, signal }: ConditionOptions = {}): Promise<void> {
    const headers = { "if-match": ifMatch };
    await this.#service.call({ method: "DELETE", path: pathOf(id), headers }, signal);
  }

  /**
   * Publishes one event, or up to 100 at once, all or none. It resolves once they are durable. While the
   * session takes no more (503 `message_channel_full`, `session_disconnected`), it waits for a reader.
   * Throws 404 `session_not_found`, 409 `stream_ended`.
   */
  publish(id: string, events: api.NewEvent, options?: PublishOptions): Promise<api.Published>;
  publish(
    id: string,
    events: readonly api.NewEvent[],
    options?: PublishOptions,
  ): Promise<api.PublishedMany>;
  async publish(
    id: string,
    events: api.NewEvent | readonly api.NewEvent[],
    { idempotencyKey = randomUuid(), signal }: PublishOptions = {},
  ): Promise<api.Published | api.PublishedMany> {
    const headers = { "idempotency-key": idempotencyKey };
    return this.#json({ method: "POST", path: eventsOf(id), headers, body: events }, signal);
  }

  /** Ends the stream, after one last event if there is one. A stream that had ended stays as it was. */
  end(id: string, last?: api.NewEvent, { signal }: CallOptions = {}): Promise<api.StreamEnd> {
    return this.#json({ method: "POST", path: `${pathOf(id)}/end`, body: last ?? {} }, signal);
  }

  /** Reads a page of events without a stream. It takes nothing from the readers of the stream. */
  read(id: string, { signal, ...query }: ReadOptions = {}): Promise<api.EventPage> {
    return this.#json({ method: "GET", path: eventsOf(id), query }, signal);
  }

  /** Makes a ticket, with which a page can follow this session for a short while. */
  ticket(id: string, { signal }: CallOptions = {}): Promise<api.Ticket> {
    return this.#json({ method: "POST", path: `${pathOf(id)}/tickets` }, signal);
  }

  /** Lists one's own sessions, newest first; an admin lists all, or a subject's. */
  list({ signal, ...query }: ListOptions = {}): Promise<api.SessionList> {
    return this.#json({ method: "GET", path: "/v1/sessions", query }, signal);
  }

  /** Counts one's own sessions; an admin counts all, or a subject's. */
  count({ signal, ...query }: FilterOptions = {}): Promise<api.SessionCount> {
    return this.#json({ method: "GET", path: "/v1/sessions/count", query }, signal);
  }

  /** Ends all of one's own sessions; an admin must name the `subject`. */
  revoke({ signal, subject }: SubjectOptions = {}): Promise<api.Revoked> {
    return this.#json({ method: "DELETE", path: "/v1/sessions", query: { subject } }, signal);
  }

  /**
   * Follows a session's stream. It reconnects for as long as that can help, and resumes after the last event
   * that it has: each event comes once, in order. Where events are no longer retained, a `gap` comes instead.
   * The last item is `end`. Throws a `HoldfastError` for a refusal that does not pass: 404
   * `session_not_found` also where the session expired or was deleted while the client was away, since
   * the service then cannot tell which.
   */
  follow(id: string, options: FollowOptions = {}): Following {
    return new Following(this.#service, eventsOf(id), options);
  }

  async #json<T>(call: Call, signal: AbortSignal | undefined): Promise<T> {
    // A test compares these types with the schemas of the service.
    return (await this.#service.call(call, signal)).json as T;
  }

  async #session(call: Call, signal: AbortSignal | undefined): Promise<api.TaggedSession> {
    const { json, headers } = await this.#service.call(call, signal);
    return { ...(json as api.TaggedSession), etag: headers.get("etag") ?? "" };
  }
}

function isLostCreate(failure: unknown): boolean {
  return (
    failure instanceof HoldfastError &&
    failure.lostAnswer &&
    failure.code === "session_already_exists"
  );
}

/** The path of a session. Throws for an id that would change the path; the service checks every other. */
function pathOf(id: string): string {
  if (typeof id !== "string" || ["", ".", "..", "count"].includes(id)) {
    throw new TypeError("id: must be the id of a session");
  }
  return `/v1/sessions/${encodeURIComponent(id)}`;
}

function eventsOf(id: string): string {
  return `${pathOf(id)}/events`;
}

/** A version 4 UUID (RFC 9562, 5.4). `crypto.randomUUID` is missing in pages that come by plain HTTP. */
function randomUuid(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
