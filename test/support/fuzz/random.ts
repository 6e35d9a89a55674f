/** A seeded generator (mulberry32), so that a finding can be had again from its seed. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 up to and without 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }

  /** Text of any Unicode, control characters and lone surrogates too. */
  text(maxLength: number): string {
    const length = this.below(maxLength + 1);
    const code = () => this.pick([this.below(128), this.below(0x20), this.below(0x10000), 0xd800]);
    return String.fromCharCode(...Array.from({ length }, code));
  }

  uuid(): string {
    const hex = (digits: number) =>
      Array.from({ length: digits }, () => this.below(16).toString(16)).join("");
    return [hex(8), hex(4), hex(4), hex(4), hex(12)].join("-");
  }
}
