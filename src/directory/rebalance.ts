/**
 * Moves a shard's misplaced entries after `DIRECTORY_SHARDS` was raised. A shard learns the
 * number from its callers and keeps the highest. It moves entries to the new shards in batches,
 * and drops a row only once the other shard has taken it: an entry is in one place or in both,
 * never in none. The revocations go first: otherwise a session escapes its revocation by moving
 * to a shard that does not know of it.
 */
import { REBALANCE_BATCH, MOVE_SETTLE_MS, REVOCATION_MEMORY_MS } from "../core/limits.ts";
import type { Addressed, Elsewhere, Revocation, ShardRow, Layout } from "./contract.ts";
import type { DirectoryClient } from "./client.ts";
import { placementOf } from "./placement.ts";
import type { Revocations } from "./revocations.ts";
import type { ShardIndex } from "./shard-index.ts";

const KEY = "layout";

interface StoredLayout extends Addressed {
  /** The move has done every row up to this id; absent if no move is under way. */
  readonly movedThrough?: string;
  /** The move brings entries to shards from this number on. Absent (in older rows): to every shard. */
  readonly movedFrom?: number;
  /**
   * The revocations that were sent to those shards: since when, and up to which subject. (An older
   * version stored this as `told`. Without it they are sent again, which changes nothing there.)
   */
  readonly sentRevocations?: { readonly since: number; readonly through: string };
  /** When the last move ended; milliseconds since the epoch. */
  readonly movedAt?: number;
}

/** The other shards. Each method rejects if it is not known that the shard took its part. */
type Peers = Pick<DirectoryClient, "absorb" | "absorbRevocations">;

export class Rebalance {
  readonly #kv: SyncKvStorage;
  readonly #index: ShardIndex;
  readonly #revocations: Revocations;
  readonly #peersAmong: (shards: number) => Peers;
  #layout: StoredLayout | undefined;

  constructor(
    kv: SyncKvStorage,
    index: ShardIndex,
    revocations: Revocations,
    peersAmong: (shards: number) => Peers,
  ) {
    this.#kv = kv;
    this.#index = index;
    this.#revocations = revocations;
    this.#peersAmong = peersAmong;
    this.#layout = kv.get<StoredLayout>(KEY);
  }

  /** Learns the number of shards from a caller. Returns whether a move begins. */
  learn(call: Addressed): boolean {
    if (!this.#layout) {
      this.#save({ ...call });
      return false;
    }
    if (call.shards <= this.#layout.shards) return false;
    this.#begin(this.#layout, call.shards, this.#layout.shards);
    return true;
  }

  /** Begins a move if rows came from a shard that knows of fewer shards, and belong elsewhere by now. */
  absorbed(call: Addressed, rows: readonly ShardRow[]): void {
    const layout = this.#layout;
    if (!layout || call.shards >= layout.shards) return;
    if (rows.every(({ id }) => placementOf(id, layout.shards) === layout.shard)) return;
    this.#begin(layout, layout.shards, call.shards);
  }

  /**
   * How many shards there are, if a caller knows of fewer and the key (a session's, or a
   * subject's) therefore belongs elsewhere. An entry taken here would move away again, to a
   * shard where its session does not look for it.
   */
  elsewhere(call: Addressed, key: string): Elsewhere | undefined {
    const layout = this.#layout;
    if (!layout || call.shards >= layout.shards) return undefined;
    if (placementOf(key, layout.shards) === layout.shard) return undefined;
    return { kind: "elsewhere", shards: layout.shards };
  }

  get isUnderWay(): boolean {
    return this.#layout?.movedThrough !== undefined;
  }

  seenAt(now: number): Layout {
    const { shards = 0, movedAt = -Infinity } = this.#layout ?? {};
    return { shards, moving: this.isUnderWay || now < movedAt + MOVE_SETTLE_MS };
  }

  /** Does one batch. Rejects if a shard did not take its part: the caller tries again. */
  async work(now: number): Promise<void> {
    const layout = this.#layout;
    if (layout?.movedThrough === undefined) return;
    const { shard, shards, sentRevocations: stored } = layout;
    // The other shards may have forgotten revocations that went out long ago.
    const sent =
      stored && now < stored.since + REVOCATION_MEMORY_MS / 2
        ? stored
        : { since: now, through: "" };
    const unsent = this.#revocations.known(sent.through, REBALANCE_BATCH);
    const lastUnsent = unsent.at(-1);
    if (lastUnsent) {
      await this.#sendRevocations(layout, unsent);
      if (this.#layout !== layout) return;
      this.#save({ ...layout, sentRevocations: { ...sent, through: lastUnsent.subject } });
      return;
    }
    const rows = this.#index.rowsAfter(layout.movedThrough, REBALANCE_BATCH);
    const byPlace = Map.groupBy(rows, ({ id }) => placementOf(id, shards));
    byPlace.delete(shard);
    for (const [place, misplaced] of byPlace) {
      await this.#peersAmong(shards).absorb(place, misplaced);
      // A row that a message has changed meanwhile has a higher order, and stays.
      for (const { id, order } of misplaced) this.#index.takeBack(id, order);
    }
    // A move that began meanwhile starts from the first id; saving this would cut it short.
    if (this.#layout !== layout) return;
    const last = rows.at(-1);
    if (last && rows.length === REBALANCE_BATCH) this.#save({ ...layout, movedThrough: last.id });
    else this.#save({ shard, shards, movedAt: now });
  }

  async #sendRevocations(
    { shard, shards, movedFrom = 0 }: StoredLayout,
    revocations: readonly Revocation[],
  ): Promise<void> {
    const peers = this.#peersAmong(shards);
    for (let place = movedFrom; place < shards; place++) {
      if (place !== shard) await peers.absorbRevocations(place, revocations);
    }
  }

  /** Begins a move, from the first id, of entries that were placed among `from` shards or more. */
  #begin(layout: StoredLayout, shards: number, from: number): void {
    const { sentRevocations: _, ...rest } = layout;
    const movedFrom = this.isUnderWay ? Math.min(layout.movedFrom ?? 0, from) : from;
    this.#save({ ...rest, shards, movedFrom, movedThrough: "" });
  }

  #save(layout: StoredLayout): void {
    this.#layout = layout;
    this.#kv.put(KEY, layout);
  }
}
