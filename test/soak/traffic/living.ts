import type { Random } from "../../support/fuzz/random.ts";

/** The records that exist, to choose from. A worker has its record to itself. */
export class Living<T extends object> {
  readonly #random: Random;
  readonly #members: T[] = [];
  readonly #busy = new Set<T>();

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    this.#members.push(member);
  }

  remove(member: T): void {
    const at = this.#members.indexOf(member);
    if (at >= 0) this.#members.splice(at, 1);
  }

  /** Any member, busy or not. */
  pick(): T | undefined {
    return this.#members[this.#random.below(this.#members.length)];
  }

  isBusy(member: T): boolean {
    return this.#busy.has(member);
  }

  /** Works on a random member alone. Does nothing if another worker has this member. */
  async withOne(work: (member: T) => Promise<void>): Promise<void> {
    const member = this.pick();
    if (!member || this.#busy.has(member)) return;
    this.#busy.add(member);
    try {
      await work(member);
    } finally {
      this.#busy.delete(member);
    }
  }
}
