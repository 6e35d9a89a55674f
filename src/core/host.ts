/**
 * The session host: the interface over which the HTTP front makes, reads and ends sessions. The
 * Worker's host calls Durable Objects; another runtime can have a host of its own.
 *
 * A method throws `UnavailableError` if it cannot reach the backend, and `SessionNotFoundError` if
 * there is no such session. Ids are canonical (`parseSessionId`).
 */
import type { Caller } from "./caller.ts";
import type { SessionId } from "./id.ts";
import type { Metadata, Overflow, SessionType } from "./content.ts";

/**
 * A session's times as the record of the library has them: RFC 3339 with up to nine digits of a
 * second, which a number of milliseconds cannot hold. Expiry does not look at them.
 */
interface RecordTimes {
  readonly createdAt: string;
  /** Absent: another caller has changed the content since. */
  readonly updatedAt?: string;
}

/** The content that a caller may set when it makes or replaces a session. */
export interface SessionContent {
  readonly type: SessionType;
  readonly metadata: Metadata;
  /** Any JSON, as text. Absent: the session has no data. */
  readonly dataJson?: string;
  readonly ttlMs: number;
  /** 0: no limit. */
  readonly maxLifetimeMs: number;
  /** The owner. Absent: the caller for a new session; a replaced session keeps its owner. */
  readonly subject?: string;
  readonly times?: RecordTimes;
  /** Absent: `refuse` for a new session; a replaced session keeps its own. */
  readonly overflow?: Overflow;
  /** Of a task: its call, as `src/gateway/tasks/store.ts` writes it. It is stored with the rest, and shown to nobody. */
  readonly taskCall?: string;
}

/** A merge patch (RFC 7396) on a session. An absent member leaves its part as it is. */
export interface SessionPatch {
  /** A null value removes the key; null in place of the map removes every key. */
  readonly metadata?: Readonly<Record<string, string | null>> | null;
  /** A merge patch on the data, as JSON text; the text `null` removes it. */
  readonly dataPatchJson?: string;
  readonly ttlMs?: number;
  readonly overflow?: Overflow;
}

/**
 * A session as its host sees it at one moment: its content, and its state. Without a `subject` it
 * belongs to nobody. Times are milliseconds since the epoch.
 */
export interface SessionView extends SessionContent {
  readonly id: SessionId;
  readonly createdAt: number;
  /** Last change of content: type, metadata, data or lifetime. */
  readonly updatedAt: number;
  readonly expiresAt: number;
  readonly overflow: Overflow;
  /** Readers attached to the session's own stream. */
  readonly writers: number;
  /** If the stream has ended, the id of the `ended` frame. */
  readonly lastEventId?: string;
  /** The stream is complete: nothing can be published any more. */
  readonly ended: boolean;
  /** Changes with the content, and is the beginning of a document's tag. */
  readonly version: string;
}

export interface NewEvent {
  readonly event?: string;
  readonly data: string;
}

export interface Published {
  readonly ids: readonly string[];
  /** How many readers get it. A reader that is behind gets it after the events before it. */
  readonly writers: number;
  /** The events were published before under the same key: nothing was appended. */
  readonly replayed?: true;
}

export interface StreamEnd {
  /** The id of the `ended` frame. */
  readonly id: string;
}

/** An event as its publisher gave it. */
export interface PublishedEvent extends NewEvent {
  readonly id: string;
}

export interface PageQuery {
  /** The last event that the client saw. Absent: from the earliest that is retained. */
  readonly after?: string;
  /** Events at most. */
  readonly limit: number;
  /** false: the read does not count as use. */
  readonly touch?: boolean;
}

/** A part of a session's events, in order. Fewer than asked for does not mean that no more follow. */
export interface EventPage {
  readonly events: readonly PublishedEvent[];
  /** The next page follows this place: the last event given, or the place after which none was found. */
  readonly lastEventId: string;
  /** The stream is complete, and nothing follows this page. */
  readonly ended: boolean;
  /** Events before this page are missing: it begins with the earliest that is retained. */
  readonly gap?: Gap;
}

export interface Gap {
  /** The event that the client asked to go on after. Null: it named none, and unread events were trimmed. */
  readonly requested: string | null;
  /** The first event that is retained; null if there is none. */
  readonly earliest: string | null;
}

/** Where a new stream starts. */
export type StreamStart =
  /** With the first event that no reader is known to have taken. */
  | { readonly kind: "queued" }
  /** With everything that is retained. */
  | { readonly kind: "earliest" }
  /** After an event that the client saw. */
  | { readonly kind: "after"; readonly lastEventId: string };

/**
 * The socket over which a host feeds one reader. Binary messages are whole SSE frames. Text
 * messages are control words, either way (`src/stream/protocol.ts`). The WebSocket of Workers and
 * that of browsers both fit.
 */
export interface StreamSocket {
  binaryType: string;
  accept?(): void;
  send(message: string): void;
  close(code?: number, reason?: string): void;
  addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  addEventListener(type: "close" | "error", listener: () => void): void;
}

/** Versions, or tags of documents, which begin with one; "*" matches any session that exists. */
export type IfMatch = "*" | readonly string[];

/** A session in a listing, moments behind the session itself. Times are milliseconds since the epoch. */
export interface SessionEntry {
  readonly id: SessionId;
  readonly type: SessionType;
  readonly subject?: string;
  /** Never changes while the session lives; the order of listings. */
  readonly createdAt: number;
  /** When the session ends unless it is used. It may lack the uses of up to a quarter of the TTL. */
  readonly expiresAt: number;
}

/** A few texts by their names, kept for good. Each method may reject: then nothing is read, or kept. */
export interface Notes {
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}

/** Selects sessions. An absent member sets no condition. */
export interface SessionFilter {
  readonly type?: SessionType;
  readonly subject?: string;
}

/** `partial`: a part of the index did not answer, so the result lacks its sessions. */
export interface MaybePartial {
  readonly partial?: true;
}

export interface ListQuery extends SessionFilter {
  /** From 1 to 1,000. */
  readonly limit: number;
  /** The `cursor` of the page before. Absent: the first page. */
  readonly cursor?: string;
}

export interface SessionList extends MaybePartial {
  /** Newest first; those made in the same millisecond by descending id. */
  readonly sessions: readonly SessionEntry[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

export interface SessionCount extends MaybePartial {
  readonly count: number;
}

export interface Revoked extends MaybePartial {
  /** How many sessions were found; more than a few end in the background. */
  readonly deleted: number;
}

/**
 * Keeps sessions and lists them. `as` gives the sessions that one caller may touch; the other
 * methods are for an admin.
 *
 * @example
 * const sessions = host.as({ subject: "alice", admin: false });
 * await sessions.publish(id, [{ data: "hello" }]);
 * const { count } = await host.count({ subject: "alice" });
 */
export interface SessionHost {
  /** The sessions that this caller may touch. */
  as(caller: Caller): Sessions;
  /** The same sessions, each as the document that `/v1` shows this caller. */
  documents(caller: Caller): Sessions<SessionDocument>;
  /**
   * A page of the sessions that fit. A walk over all pages gives a session that lives throughout
   * exactly once. Throws a SessionError (`invalid_request`) for a cursor that no listing gave, and
   * `UnavailableError` if nothing answered.
   */
  list(query: ListQuery): Promise<SessionList>;
  /** How many sessions fit. */
  count(filter: SessionFilter): Promise<SessionCount>;
  /** Ends every session of a subject that exists by now, in the background if they are many. */
  revoke(subject: string): Promise<Revoked>;
  /** Parts that must work, by name: each rejects while its part does not. */
  readonly checks: Readonly<Record<string, () => Promise<void>>>;
}

/**
 * The sessions that one caller may touch. For any other session a method answers as for an id that
 * was never made, and changes nothing. Only a create tells the two apart: it fails if the id is
 * taken. A session is returned as a `Shown`.
 */
export interface Sessions<Shown = SessionView> {
  /** Makes a session. Throws `SessionAlreadyExistsError` if the id is taken. */
  create(id: SessionId, content: SessionContent): Promise<Shown>;
  /** Reads a session; counts as use if `touch` is true. */
  read(id: SessionId, touch: boolean): Promise<Shown>;
  /**
   * Makes a session or replaces its content. Its events stay, and its readers unless the owner
   * changes. Another's session is not found.
   */
  upsert(
    id: SessionId,
    content: SessionContent,
    ifMatch?: IfMatch,
  ): Promise<{ readonly created: boolean; readonly session: Shown }>;
  /** Changes a session that exists. Never makes one. */
  patch(id: SessionId, patch: SessionPatch, ifMatch?: IfMatch): Promise<Shown>;
  /** Ends a session and its streams. False if there was none, or it had none of these versions. */
  delete(id: SessionId, ifMatch?: IfMatch): Promise<boolean>;
  /**
   * Appends events, all or none, and sends them. Returns once they are durable.
   *
   * With a key (1 to 255 visible ASCII characters) a repeat appends nothing, as long as the log
   * retains the last of the events. Throws a SessionError (`idempotency_key_reused`) if other events
   * were published under the key.
   */
  publish(id: SessionId, events: readonly NewEvent[], idempotencyKey?: string): Promise<Published>;
  /**
   * Ends the session's stream for good, after one last event if there is one. Returns the id of its
   * `ended` frame. A stream that has ended stays as it is and answers the same.
   */
  endStream(id: SessionId, last?: NewEvent): Promise<StreamEnd>;
  /** Ends every stream. Publishing fails until a reader attaches again. */
  disconnect(id: SessionId): Promise<void>;
  /** Reads events as data. Counts as use of the session, and never as reading the queue. */
  readEvents(id: SessionId, query: PageQuery): Promise<EventPage>;
  /**
   * Resolves when there may be an event to read after `after`, when `ms` milliseconds have passed,
   * or when the session ends. Resolves early if too many requests wait.
   */
  awaitEvents(id: SessionId, after: string, ms: number): Promise<void>;
  /** Attaches a reader. Undefined if it has seen the end of the stream. */
  subscribe(id: SessionId, start: StreamStart): Promise<StreamSocket | undefined>;
}

/** A session written out as JSON, as `/v1` shows it to one caller. */
export interface SessionDocument {
  /** An entity tag without its quotes: it changes with every byte of the JSON. */
  readonly tag: string;
  readonly json: string;
}
