/** What the HTTP API of `/v1` takes and gives. A test holds these to the schemas of its routes. */

export type Overflow = "refuse" | "trim";
export type SessionType = "mcp" | "sse" | "streamable";

/** What a session is made of. Every member is optional. */
export interface SessionContent {
  readonly type?: SessionType;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly data?: unknown;
  /** Seconds that it lives after its last use: 0.1 to a year. */
  readonly ttlSeconds?: number;
  /** Seconds that it lives at most, whatever its use; 0 is no limit. */
  readonly maxLifetimeSeconds?: number;
  /** Whose it is; only an admin may name another than the caller. */
  readonly subject?: string;
  /** When the log is full of unread events: `refuse` (the default) publishes, or `trim` the oldest. */
  readonly overflow?: Overflow;
}

export interface NewSession extends SessionContent {
  /** A UUID. Absent: the client makes one. */
  readonly id?: string;
}

/** A merge patch (RFC 7396): null removes a member. */
export interface SessionPatch {
  readonly metadata?: Readonly<Record<string, string | null>> | null;
  readonly data?: unknown;
  readonly ttlSeconds?: number | null;
  readonly overflow?: Overflow | null;
}

export interface Session {
  readonly id: string;
  readonly type: string;
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly expiresAt: string;
  readonly ttlSeconds: number;
  readonly maxLifetimeSeconds?: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly data?: unknown;
  readonly subject?: string;
  readonly connected: boolean;
  readonly writers: number;
  readonly lastEventId?: string;
  readonly overflow: Overflow;
  readonly ended: boolean;
}

/** A session with its entity tag (RFC 9110, 8.8.3), which `ifMatch` takes. */
export type TaggedSession = Session & { readonly etag: string };

export interface NewEvent {
  /** Up to 256 characters; absent: `message`. */
  readonly event?: string;
  /** Any JSON; a string is sent as it is. */
  readonly data: unknown;
}

export interface Published {
  readonly id: string;
  readonly writers: number;
}

export interface PublishedMany {
  readonly ids: readonly string[];
  readonly writers: number;
}

export interface StreamEnd {
  /** The id of the `ended` frame. */
  readonly id: string;
}

export interface Gap {
  /** The id that was asked for; null where none was sent. */
  readonly requested: string | null;
  /** The first event that is retained; null where there is none. */
  readonly earliest: string | null;
}

export interface EventPage {
  readonly events: readonly {
    readonly id: string;
    readonly event?: string;
    readonly data: string;
  }[];
  /** The next page is the one after this. */
  readonly lastEventId: string;
  readonly ended: boolean;
  readonly gap?: Gap;
}

export interface Ticket {
  readonly ticket: string;
  readonly expiresAt: string;
  readonly url: string;
}

export interface SessionEntry {
  readonly id: string;
  readonly type: string;
  readonly createdAt: string;
  readonly expiresAt: string;
  readonly subject?: string;
}

/** `partial`: a part of the directory did not answer, so there may be more. */
export interface SessionList {
  readonly sessions: readonly SessionEntry[];
  /** Absent on the last page. */
  readonly cursor?: string;
  readonly partial?: true;
}

export interface SessionCount {
  readonly count: number;
  readonly partial?: true;
}

export interface Revoked {
  /** Sessions found; many of them end in the background. */
  readonly deleted: number;
  readonly partial?: true;
}
