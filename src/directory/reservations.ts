/**
 * Reserves places for sessions that are being made, so that concurrent callers do not pass
 * `MAX_SESSIONS_PER_SUBJECT` together. One shard, the subject's home, keeps the places in
 * memory, for the moments until a session is indexed or refused. An eviction loses them, and
 * lets a few sessions too many in, once.
 */
import { RESERVATION_MS } from "../core/limits.ts";

export class Reservations {
  /** By subject: the ids that have a place, and until when. */
  readonly #places = new Map<string, Map<string, number>>();
  /** By subject: a promise that settles when the decisions so far are made. */
  readonly #queues = new Map<string, Promise<unknown>>();

  /** How many entries it keeps: none of a subject without a place, once its decisions are made. */
  get size(): number {
    return this.#places.size + this.#queues.size;
  }

  /**
   * Reserves a place if the indexed sessions and the places together are below `limit`. The
   * index counts all sessions but those with a place, so none counts twice. One decision of a
   * subject at a time: the next one sees this one's place.
   */
  async admit(
    subject: string,
    id: string,
    limit: number,
    countIndexed: (except: readonly string[]) => Promise<number>,
    clock: () => number,
  ): Promise<boolean> {
    const decide = async () => {
      const now = clock();
      const known = this.#places.get(subject) ?? new Map<string, number>();
      for (const [other, until] of known) if (until <= now) known.delete(other);
      const reserved = [...known.keys()];
      const indexed = await countIndexed(reserved);
      const admitted = indexed + reserved.length < limit;
      // Read again: a release may have removed the last place meanwhile.
      const places = this.#places.get(subject) ?? known;
      if (admitted) places.set(id, clock() + RESERVATION_MS);
      if (places.size > 0) this.#places.set(subject, places);
      else this.#places.delete(subject);
      return admitted;
    };
    const before = this.#queues.get(subject) ?? Promise.resolve();
    const decision = before.then(decide);
    const settled = decision.catch(() => undefined);
    this.#queues.set(subject, settled);
    try {
      return await decision;
    } finally {
      if (this.#queues.get(subject) === settled) this.#queues.delete(subject);
    }
  }

  release(subject: string, id: string): void {
    const places = this.#places.get(subject);
    places?.delete(id);
    if (places?.size === 0) this.#places.delete(subject);
  }
}
