/**
 * Knows which events one reader has taken. A successful write does not prove it: a closed connection
 * still takes bytes until the answer to the first of them is back, and a proxy takes bytes that its
 * client never gets. So an event counts as taken when two later writes have succeeded. The first
 * begins `CONFIRM_AFTER_MS` after the event, the second as long after the first. If the connection
 * was closed before the first write, that write provokes the error, and the second one meets it.
 * Time is an argument: milliseconds since the epoch.
 */
import { CONFIRM_AFTER_MS, CONFIRM_SOON_MS } from "../core/limits.ts";

/** A write to the connection, with the id of the last event that ends in it. */
interface Write {
  readonly begun: number;
  readonly id: string | undefined;
}

/** An event whose last byte the connection has taken. */
interface Handed {
  readonly id: string;
  readonly at: number;
}

interface Proof {
  /** The last event that is known to be taken. */
  readonly id: string;
  /** The object has asked for it. */
  readonly asked: boolean;
}

export class Delivery {
  #inFlight: Write | undefined;
  /** The last event that came from the object, and the last one that the connection took. */
  #newest: string | undefined;
  #handed: Handed | undefined;
  /** An event that waits for the first write that begins late enough after it. */
  #sample: Handed | undefined;
  /** An event that has had that write, and when: the next one that begins late enough shows it to be taken. */
  #followed: Handed | undefined;
  #taken: string | undefined;
  #askedFor: string | undefined;
  #probedAt: number | undefined;

  /** The last event that the reader is known to have taken. */
  get taken(): string | undefined {
    return this.#taken;
  }

  /** A message has come from the object; `id` is that of the event which ends it. */
  came(id: string | undefined): void {
    this.#newest = id ?? this.#newest;
  }

  begins(id: string | undefined, now: number): void {
    this.#inFlight = { begun: now, id };
  }

  /** The write that began last has gone through. Returns what that shows, if it is news. */
  wentThrough(now: number): Proof | undefined {
    const write = this.#inFlight;
    if (!write) return undefined;
    this.#inFlight = undefined;
    const proof = this.#shownBy(write);
    if (proof) {
      this.#taken = proof.id;
      this.#followed = undefined;
    }
    if (!this.#followed) this.#follow(write, now);
    if (write.id !== undefined) {
      this.#handed = { id: write.id, at: now };
      if (write.id !== this.#taken) this.#sample ??= this.#handed;
    }
    return proof;
  }

  /** The object wants to know soon of everything that has come. Returns that if it is known to be taken. */
  ask(): string | undefined {
    if (this.#taken !== undefined && this.#taken === this.#newest) return this.#taken;
    this.#askedFor = this.#newest;
    return undefined;
  }

  /** The object wants to know whether the reader is still there: a comment goes out now, and one later. */
  probe(now: number): void {
    this.#probedAt = now;
  }

  /** When a comment is to be written, if nothing else is by then; undefined where none is needed. */
  get commentDue(): number | undefined {
    // The newest event, not the sample: one comment then does for all of them.
    const handedAt = this.#sample ? (this.#handed?.at ?? 0) : 0;
    const since = Math.max(handedAt, this.#followed?.at ?? 0, this.#probedAt ?? 0);
    return since === 0 ? undefined : since + this.#margin;
  }

  /** The comment that was due is written. */
  commented(): void {
    this.#probedAt = undefined;
  }

  get #margin(): number {
    return this.#askedFor === undefined ? CONFIRM_AFTER_MS : CONFIRM_SOON_MS;
  }

  #shownBy({ begun }: Write): Proof | undefined {
    const followed = this.#followed;
    if (!followed || begun < followed.at + this.#margin) return undefined;
    const { id } = followed;
    // Ids of one log sort as text.
    const asked = this.#askedFor !== undefined && (id === this.#newest || id >= this.#askedFor);
    if (asked) this.#askedFor = undefined;
    return { id, asked };
  }

  /** This write is the first after the newest event that is old enough, if there is one. */
  #follow({ begun }: Write, now: number): void {
    if (!this.#sample) return;
    const handed = this.#handed;
    const old = [handed, this.#sample].find((one) => one && begun >= one.at + this.#margin);
    if (!old) return;
    this.#followed = { id: old.id, at: now };
    this.#sample = handed?.id === old.id ? undefined : handed;
  }
}
