/**
 * The shapes of `/v1`, as TypeScript. The schemas in `http/v1/schemas.ts` validate them, and a test
 * compares the two. Times are RFC 3339 in UTC.
 */
import type { KnownSessionType, NewSessionType, Overflow, SessionType } from "./content.ts";
import type { MaybePartial } from "./host.ts";

export type { EventPage, Gap, PublishedEvent, Revoked, SessionCount, StreamEnd } from "./host.ts";

export interface Session {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: string;
  /** Last change of content: type, metadata, data or lifetime. */
  readonly updatedAt: string;
  /** When the session ends unless it is used. */
  readonly expiresAt: string;
  /** Seconds that the session lives after its last use. */
  readonly ttlSeconds: number;
  /** Longest life in seconds, however often the session is used. Absent: no limit. */
  readonly maxLifetimeSeconds?: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Any JSON. Absent: the session has none. */
  readonly data?: unknown;
  /** The owner. Absent: the session has none. */
  readonly subject?: string;
  /** Whether a reader is attached. */
  readonly connected: boolean;
  /** Readers attached. */
  readonly writers: number;
  /** If the stream has ended, the id of its `ended` frame. */
  readonly lastEventId?: string;
  readonly overflow: Overflow;
  /** Whether the stream is complete: nothing can be published any more. */
  readonly ended: boolean;
}

/** A session with its entity tag (RFC 9110, 8.8.3), as the header `ETag` has it: for `ifMatch`, or for an answer of your own. */
export interface TaggedSession extends Session {
  readonly etag: string;
}

/** The content of a session that is made or replaced. Every member may be left out. */
export interface SessionContent {
  /** `mcp` if it is absent. */
  readonly type?: NewSessionType | undefined;
  /** At most 256 keys and 128 KiB of JSON. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
  /** Any JSON, at most 768 KiB. */
  readonly data?: unknown;
  /** Seconds from 0.1 to 31536000; `SESSION_TTL_SECONDS` if it is absent. */
  readonly ttlSeconds?: number | undefined;
  /** Seconds, 0 or from 0.1 to 31536000; 0 is no limit. `SESSION_MAX_LIFETIME_SECONDS` bounds it. */
  readonly maxLifetimeSeconds?: number | undefined;
  /** The owner, at most 1,024 characters. Absent: the caller. Only an admin may name another subject. */
  readonly subject?: string | undefined;
  /**
   * A full log of events that no reader has taken: `refuse` refuses the next publish, `trim` removes the
   * oldest events. `refuse` if it is absent.
   */
  readonly overflow?: Overflow | undefined;
}

export interface NewSession extends SessionContent {
  /** A UUID. Absent: a random one. */
  readonly id?: string | undefined;
}

/** A merge patch (RFC 7396): an absent member stays as it is, null removes. */
export interface SessionPatch {
  readonly metadata?: Readonly<Record<string, string | null>> | null | undefined;
  /** A merge patch on the data. */
  readonly data?: unknown;
  readonly ttlSeconds?: number | null | undefined;
  readonly overflow?: Overflow | null | undefined;
}

export interface NewEvent {
  /** The name: at most 256 characters, without CR, LF and NUL. Absent: `message`. The service's own names are refused. */
  readonly event?: string | undefined;
  /** Any JSON. A string is sent as it is. */
  readonly data: unknown;
}

/** The answer to a publish of one event. */
export interface Published {
  readonly id: string;
  /** How many readers were attached. */
  readonly writers: number;
}

/** The answer to a publish of an array. */
export interface PublishedMany {
  readonly ids: readonly string[];
  readonly writers: number;
}

export interface Ticket {
  readonly ticket: string;
  readonly expiresAt: string;
  /** The stream's URL with the ticket in it. */
  readonly url: string;
}

/** A session in a list. */
export interface SessionEntry {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly subject?: string;
}

export interface SessionList extends MaybePartial {
  /** Newest first. */
  readonly sessions: readonly SessionEntry[];
  /** Absent on the last page. */
  readonly cursor?: string;
}

/** The options of a publish. */
export interface PublishOptions {
  /**
   * 1 to 255 visible ASCII characters. Another publish of the same events under the same key appends
   * nothing. Absent: `HoldfastClient` makes a key for the tries of one call.
   */
  readonly idempotencyKey?: string | undefined;
}

/** The options of a read of events as data. */
export interface ReadOptions {
  /** The id of an event; the page begins after it. Absent: at the earliest that is retained. */
  readonly after?: string | undefined;
  /** Events at most: 1 to 1,000 (100). */
  readonly limit?: number | undefined;
  /** Seconds to wait for an event if there is none yet: 0 to 30 (0). */
  readonly wait?: number | undefined;
}

export interface SubjectOptions {
  /** The owner of the sessions. Absent: the caller; for an admin's list and count, everybody. Another's needs the scope `admin`. */
  readonly subject?: string | undefined;
}

/** Which sessions are listed or counted. */
export interface FilterOptions extends SubjectOptions {
  readonly type?: KnownSessionType | undefined;
}

export interface ListOptions extends FilterOptions {
  /** Sessions at most: 1 to 200 (50). */
  readonly limit?: number | undefined;
  /** The `cursor` of the page before. */
  readonly cursor?: string | undefined;
}
