/**
 * The directory: an index of the sessions, for what no single session's object
 * can answer. It is never the truth: whether a session exists, and what it
 * holds, its own object says.
 *
 * An entry follows its session within moments, and later while a shard is down;
 * it is never lost, for the session's outbox keeps what the directory has yet to
 * be told. Throwing means that no part of the directory answered.
 */
import type { SessionEntry, SessionFilter } from "../core/host.ts";
import type { SessionId } from "../core/id.ts";

/** What the directory says of a session. */
export type DirectoryEntry = SessionEntry;

/** Which sessions are meant. */
export type DirectoryFilter = SessionFilter;

/** A place in the order of listings. */
export interface Position {
  readonly createdAt: number;
  readonly id: string;
}

/**
 * A session's word to the directory. A session has one sender, its object, and
 * each message has a higher `order` than those before it, over deletion and
 * re-creation too: so a shard that has taken one ignores what comes twice or late.
 * The order is the time of sending in milliseconds, or one more than the last
 * where the clock has not moved (on).
 */
export type DirectoryMessage =
  | {
      readonly op: "put";
      readonly order: number;
      readonly entry: DirectoryEntry;
      /** When a shard that hears nothing more drops the entry. */
      readonly dropAt: number;
    }
  | { readonly op: "remove"; readonly order: number; readonly id: SessionId };

/** What a shard made of a message. */
export type Delivery =
  | { readonly kind: "taken" }
  /** It holds a message of this order already, which is as high or higher. */
  | { readonly kind: "superseded"; readonly by: number };

/** It did nothing: what is asked for belongs elsewhere, for there are more shards than its caller knows. */
export interface Elsewhere {
  readonly kind: "elsewhere";
  readonly shards: number;
}

/** Which shard a caller means, and how many it knows of. A shard learns the layout from its callers. */
export interface Addressed {
  readonly shard: number;
  readonly shards: number;
}

/** What every shard says of the layout besides its answer. */
export interface Layout {
  /** The most shards that it has heard of. */
  readonly shards: number;
  /** It is, or was a moment ago, handing entries to other shards: one may have been missed in both. */
  readonly moving: boolean;
}

/** A session's row as one shard hands it to another; without an entry it is the trace of a removal. */
export interface HandedRow {
  readonly id: string;
  readonly order: number;
  readonly dropAt: number;
  readonly entry?: DirectoryEntry;
}

/** A revocation as one shard tells another of it. */
export interface HandedRevocation {
  readonly subject: string;
  /** Whom it spares: sessions made after this; milliseconds since the epoch. */
  readonly at: number;
}

/** What a shard answers to a caller over RPC. */
export interface DirectoryShard {
  deliver(to: Addressed, message: DirectoryMessage): Promise<Delivery | Elsewhere>;
  /**
   * Drops what it holds of a session whose message of this order another shard has
   * taken. No trace stays: with the same order it would stand against the entry where
   * a later move brings both, and what comes late is sent elsewhere anyway.
   */
  takeBack(to: Addressed, id: SessionId, order: number): Promise<Delivery>;
  /** Up to `limit` entries after a position, newest first. */
  page(
    to: Addressed,
    filter: DirectoryFilter,
    after: Position | undefined,
    limit: number,
  ): Promise<Layout & { readonly entries: readonly DirectoryEntry[] }>;
  /** Without the sessions of `except`, whether or not they are here. */
  count(
    to: Addressed,
    filter: DirectoryFilter,
    except?: readonly string[],
  ): Promise<Layout & { readonly count: number }>;
  /** Ends every session of a subject made up to `at`: some before it answers, the rest in the background. */
  revoke(to: Addressed, subject: string, at: number): Promise<Layout & { readonly count: number }>;
  /** Takes rows that another shard hands over. */
  absorb(to: Addressed, rows: readonly HandedRow[]): Promise<void>;
  /** Takes revocations that another shard knows of: before its rows, which they may concern. */
  absorbRevocations(to: Addressed, revocations: readonly HandedRevocation[]): Promise<void>;
  /**
   * Reserves a place for a new session of a subject that may have `limit`; false where
   * there is none. Two homes of one subject would each admit `limit`, so one that
   * knows of another home than its caller decides nothing.
   */
  admit(to: Addressed, subject: string, id: string, limit: number): Promise<boolean | Elsewhere>;
  /** Gives a reservation back: the session is indexed, or was not made. */
  release(to: Addressed, subject: string, id: string): Promise<void>;
}

/** Which sessions a revocation ends: another's, or a later one under the same id, are left alone. */
export interface RevokeIf {
  readonly subject: string;
  /** Made up to here; milliseconds since the epoch. */
  readonly createdBy: number;
}

/** Which session a message tells of. */
export function idOf(message: DirectoryMessage): SessionId {
  return message.op === "put" ? message.entry.id : message.id;
}

/** The place of an entry in listings. */
export function positionOf(entry: DirectoryEntry): Position {
  return { createdAt: entry.createdAt, id: entry.id };
}
