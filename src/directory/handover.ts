/**
 * Moves a shard's misplaced entries after `DIRECTORY_SHARDS` was raised. A shard
 * learns the number from its callers, and keeps the highest. It then hands what
 * belongs elsewhere to the new shards in batches, and drops a row only once the
 * other shard has taken it: so an entry is in one place or in both, never in none.
 */
import { HANDOVER_BATCH, MOVE_SETTLE_MS } from "../session/limits.ts";
import type { Addressed, HandedRow, Layout } from "./contract.ts";
import { placementOf } from "./placement.ts";
import type { ShardIndex } from "./shard-index.ts";

const KEY = "layout";

interface StoredLayout extends Addressed {
  /** The move has handed over what it had to up to this id; absent where none is under way. */
  readonly movedThrough?: string;
  /** When the last move ended; milliseconds since the epoch. */
  readonly movedAt?: number;
}

/** Hands rows to another shard; rejects where it is not known to have taken them. */
export type HandTo = (to: Addressed, rows: readonly HandedRow[]) => Promise<void>;

export class Handover {
  readonly #kv: SyncKvStorage;
  readonly #index: ShardIndex;
  readonly #handTo: HandTo;
  #layout: StoredLayout | undefined;

  constructor(kv: SyncKvStorage, index: ShardIndex, handTo: HandTo) {
    this.#kv = kv;
    this.#index = index;
    this.#handTo = handTo;
    this.#layout = kv.get<StoredLayout>(KEY);
  }

  /** A caller has said how many shards there are. Answers whether a move begins with that. */
  learn(call: Addressed): boolean {
    if (!this.#layout) {
      this.#save({ ...call });
      return false;
    }
    if (call.shards <= this.#layout.shards) return false;
    this.#save({ ...this.#layout, shards: call.shards, movedThrough: "" });
    return true;
  }

  /**
   * A message has come. Answers how many shards there are where its caller knows
   * of fewer and it therefore belongs elsewhere: taken here, it would be moved away
   * again, to where its session does not look for it.
   */
  elsewhere(call: Addressed, id: string): number | undefined {
    const layout = this.#layout;
    if (!layout || call.shards >= layout.shards) return undefined;
    return placementOf(id, layout.shards) === layout.shard ? undefined : layout.shards;
  }

  get underWay(): boolean {
    return this.#layout?.movedThrough !== undefined;
  }

  /** What callers are told of the layout. */
  seenAt(now: number): Layout {
    const { shards = 0, movedAt = -Infinity } = this.#layout ?? {};
    return { shards, moving: this.underWay || now < movedAt + MOVE_SETTLE_MS };
  }

  /** One batch. Rejects where a shard did not take its part; to be tried again. */
  async work(now: number): Promise<void> {
    const layout = this.#layout;
    if (layout?.movedThrough === undefined) return;
    const { shard, shards } = layout;
    const rows = this.#index.rowsAfter(layout.movedThrough, HANDOVER_BATCH);
    const byPlace = Map.groupBy(rows, ({ id }) => placementOf(id, shards));
    byPlace.delete(shard);
    for (const [place, misplaced] of byPlace) {
      await this.#handTo({ shard: place, shards }, misplaced);
      this.#index.giveUp(misplaced);
    }
    // A new move that began meanwhile starts from the first id, and must not be cut short.
    if (this.#layout !== layout) return;
    const last = rows.at(-1);
    if (last && rows.length === HANDOVER_BATCH) this.#save({ ...layout, movedThrough: last.id });
    else this.#save({ shard, shards, movedAt: now });
  }

  #save(layout: StoredLayout): void {
    this.#layout = layout;
    this.#kv.put(KEY, layout);
  }
}
