/**
 * The directory: an index of the sessions, for questions that no single session's object can
 * answer. The object alone knows whether its session exists and what it holds.
 *
 * An entry follows its session within moments, or later while a shard is down. It is never
 * lost: the session's outbox keeps each message until a shard has taken it. A method throws
 * if no part of the directory answered.
 */
import type { SessionType } from "../core/content.ts";
import type { SessionEntry, SessionFilter } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";

export type DirectoryEntry = SessionEntry;
export type DirectoryFilter = SessionFilter;

/** A place in the order of listings. */
export interface Position {
  readonly createdAt: number;
  readonly id: string;
}

/**
 * A session's message to the directory. Its object alone sends them, each with a higher
 * `order` than the last, also after the session was deleted and made again: so a shard ignores
 * a message that comes twice or late. The order is the time of sending in milliseconds, or one
 * more than the last order if the clock has not moved on.
 */
export type DirectoryMessage =
  | {
      readonly op: "put";
      readonly order: number;
      readonly entry: DirectoryEntry;
      /** When a shard that hears nothing more drops the entry. */
      readonly dropAt: number;
      /** The session is held open, and sends nothing while that lasts. A shard of an older version ignores this. */
      readonly renewal?: Renewal;
    }
  | { readonly op: "remove"; readonly order: number; readonly id: SessionId };

/** The deadline of a session that is held open is always a TTL ahead: its entry follows without a message. */
export interface Renewal {
  /** The session's TTL. */
  readonly everyMs: number;
  /** The last deadline to show; milliseconds since the epoch. */
  readonly until: number;
}

/** An entry as a shard keeps it. */
export interface KeptEntry {
  readonly entry: DirectoryEntry;
  /** Set while the entry renews itself: a listing shows it this many milliseconds ahead, up to its `expiresAt`. */
  readonly renewMs?: number;
}

/** A shard's answer to a message. */
export type Delivery =
  /** `renews`: and with its renewal. */
  | { readonly kind: "taken"; readonly renews?: true }
  /** The shard holds a message of this order, which is as high or higher. */
  | { readonly kind: "superseded"; readonly by: number };

/** The shard did nothing: there are more shards than the caller knows, and another one is responsible. */
export interface Elsewhere {
  readonly kind: "elsewhere";
  readonly shards: number;
}

/** The shard that a caller means, and how many shards it knows of. A shard learns the layout from its callers. */
export interface Addressed {
  readonly shard: number;
  readonly shards: number;
  /** The caller's `CALL_VERSION`. Absent: code older than this member. */
  readonly version?: number;
}

/** Every shard adds this to its answer. */
export interface Layout {
  /** The most shards that it has heard of. */
  readonly shards: number;
  /** The shard moves entries to others, or did a moment ago: a listing may miss one in both. */
  readonly moving: boolean;
}

/** A session's row in a shard, or on its way to another; without an entry it is the trace of a removal. */
export interface ShardRow extends Partial<KeptEntry> {
  readonly id: string;
  readonly order: number;
  readonly dropAt: number;
}

/** A revocation as shards send it to each other. */
export interface Revocation {
  readonly subject: string;
  /** Sessions made after this live on; milliseconds since the epoch. */
  readonly at: number;
}

/** A shard's methods over RPC. */
export interface DirectoryShard {
  deliver(to: Addressed, message: DirectoryMessage): Promise<Delivery | Elsewhere>;
  /**
   * Drops a session's row, since another shard has taken the message of this order. No trace
   * stays: a trace of the same order would win over the entry if a later move brings both
   * to one shard, and this shard sends late messages elsewhere anyway.
   */
  takeBack(to: Addressed, id: SessionId, order: number): Promise<Delivery>;
  /** Up to `limit` entries after a position, newest first. */
  page(
    to: Addressed,
    filter: DirectoryFilter,
    after: Position | undefined,
    limit: number,
  ): Promise<Layout & { readonly entries: readonly DirectoryEntry[] }>;
  /** Counts entries, without the sessions whose ids are in `except`. */
  count(
    to: Addressed,
    filter: DirectoryFilter,
    except?: readonly string[],
  ): Promise<Layout & { readonly count: number }>;
  /** Ends every session of a subject made up to `at`: some before it answers, the rest in the background. */
  revoke(to: Addressed, subject: string, at: number): Promise<Layout & { readonly count: number }>;
  /** Takes rows that another shard moves here. */
  absorb(to: Addressed, rows: readonly ShardRow[]): Promise<void>;
  /** Takes another shard's revocations. They come before its rows, whose sessions they may end. */
  absorbRevocations(to: Addressed, revocations: readonly Revocation[]): Promise<void>;
  /**
   * Reserves a place for a new session of a subject that may have `limit`; false if all are
   * taken. Only the subject's home shard decides: two shards would each admit `limit`.
   */
  admit(to: Addressed, subject: string, id: string, limit: number): Promise<boolean | Elsewhere>;
  /** As `admit`, for a limit of the sessions of one type. */
  admitOfType(
    to: Addressed,
    subject: string,
    type: SessionType,
    id: string,
    limit: number,
  ): Promise<boolean | Elsewhere>;
  /** Reads a note of this service about itself; with a `text`, writes it first. Callers ask shard 0 alone. */
  note(to: Addressed, name: string, text?: string): Promise<string | undefined>;
  /** Ends a reservation: the session is indexed, or was not made. */
  release(to: Addressed, subject: string, id: string): Promise<void>;
}

/** Selects the sessions that a revocation ends. A session of another subject, or made later under the same id, lives on. */
export interface RevokeIf {
  readonly subject: string;
  /** Made up to here; milliseconds since the epoch. */
  readonly createdBy: number;
}

/** How a shard keeps the entry of a message, if it knows of renewals. */
export function keptOf({ entry, renewal }: DirectoryMessage & { readonly op: "put" }): KeptEntry {
  if (!renewal) return { entry };
  return { entry: { ...entry, expiresAt: renewal.until }, renewMs: renewal.everyMs };
}

/** The session of a message. */
export function idOf(message: DirectoryMessage): SessionId {
  return message.op === "put" ? message.entry.id : message.id;
}

/** The place of an entry in listings. */
export function positionOf(entry: DirectoryEntry): Position {
  return { createdAt: entry.createdAt, id: entry.id };
}
