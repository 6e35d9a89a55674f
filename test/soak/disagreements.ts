/** For how long the directory and the sessions' objects disagree after the load, session by session. */

/** Milliseconds after which a disagreement is worth a look: a message takes moments, and its first repeat 2.5 s. */
const LATE_MS = 5000;

interface Disagreement {
  readonly said: string;
  /** When it was first seen, in milliseconds. */
  readonly from: number;
}

export class Disagreements {
  /** What the last look saw. */
  #present = new Map<string, Disagreement>();
  readonly #seen = new Set<string>();
  readonly #late = new Set<string>();
  #longestMs = 0;

  /** Takes one look, at `now` milliseconds. Returns the sessions that have just become late, and how each disagrees. */
  look(
    listed: Iterable<string>,
    found: Pick<ReadonlyMap<string, unknown>, "has" | "keys">,
    now: number,
  ): Map<string, string> {
    const names = new Set(listed);
    const present = new Map<string, Disagreement>();
    // A disagreement that is over lasted until this look at most.
    for (const { from } of this.#present.values()) {
      this.#longestMs = Math.max(this.#longestMs, now - from);
    }
    const note = (ids: Iterable<string>, others: { has(id: string): boolean }, said: string) => {
      for (const id of ids) {
        if (others.has(id)) continue;
        const { from } = this.#present.get(id) ?? { from: now };
        present.set(id, { said, from });
        this.#seen.add(id);
      }
    };
    note(names, found, "it is listed and is not there");
    note(found.keys(), names, "it is there and is not listed");
    this.#present = present;
    const late = [...present].filter(
      ([id, { from }]) => now - from >= LATE_MS && !this.#late.has(id),
    );
    for (const [id] of late) this.#late.add(id);
    return new Map(late.map(([id, { said }]) => [id, said]));
  }

  /** How many sessions they disagreed about at any look. */
  get count(): number {
    return this.#seen.size;
  }

  /** How many of these were late. */
  get late(): number {
    return this.#late.size;
  }

  /** For how many seconds the longest disagreement can have lasted since it was first seen. */
  get longestSeconds(): number {
    return this.#longestMs / 1000;
  }
}
