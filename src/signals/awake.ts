/** Counts the objects of this process that are in memory. The platform does not say when one leaves it. */

export interface Sleeper {
  /** `now` is in milliseconds since the epoch. */
  isAwake(now: number): boolean;
  /** Exchanges of MCP clients that are under way. */
  readonly openExchanges: number;
}

/** Milliseconds after its last use for which workerd keeps an idle object in memory. */
export const AWAKE_MS = 10_000;

/** References that are kept before those to objects that are gone are dropped. */
const LEAST = 256;

export class Awake {
  /** Weak, because an object that has left memory must not stay in it for being counted. */
  #known: WeakRef<Sleeper>[] = [];
  #most = LEAST;

  add(sleeper: Sleeper): void {
    // An app's Worker may have a compatibility date from before there were any.
    if (typeof WeakRef === "undefined") return;
    this.#known.push(new WeakRef(sleeper));
    if (this.#known.length <= this.#most) return;
    this.#known = this.#known.filter((known) => known.deref() !== undefined);
    // Each object so pays for a constant part of a walk over all.
    this.#most = Math.max(LEAST, 2 * this.#known.length);
  }

  /** How many are awake. `now` is in milliseconds since the epoch. */
  count(now: number): number {
    return this.#known.filter((known) => known.deref()?.isAwake(now)).length;
  }

  /** How many exchanges are under way, in all of them. */
  openExchanges(): number {
    return this.#known.reduce((sum, known) => sum + (known.deref()?.openExchanges ?? 0), 0);
  }

  /** References kept, for tests of the bound. */
  get size(): number {
    return this.#known.length;
  }
}

/** The sessions' objects of this process. */
export const awake = new Awake();
