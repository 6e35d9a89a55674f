/**
 * Infers which events one reader has taken. That the connection has taken an event does not prove it:
 * the systems and proxies on the way hold megabytes for a reader that is slow, or that has gone.
 * So an event counts as taken
 *
 * - when a link of `SLOW_LINK_BYTES_PER_S` has had the time to carry it and all bytes before it,
 *   and after that two more writes went through, each of which began `CONFIRM_AFTER_MS` after what
 *   is before it. If the connection was closed before the first of them, that one provokes the
 *   error, and the second meets it;
 * - or, if the object asks, when the connection has taken much more after it, and then two writes
 *   that began `CONFIRM_SOON_MS` apart.
 *
 * Time is an argument: milliseconds since the epoch.
 */
import { CONFIRM_AFTER_MS, CONFIRM_SOON_MS, SLOW_LINK_BYTES_PER_S } from "../core/limits.ts";

/** A write to the connection, with the id of the last event that ends in it. */
interface Write {
  readonly begun: number;
  readonly bytes: number;
  readonly id: string | undefined;
}

/** An event with a time. Each field of this type says which time. */
interface Timed {
  readonly id: string;
  readonly at: number;
}

/** A question of the object, which wants the answer soon. */
interface Question {
  /** The answer: the reader has taken everything up to this event. */
  readonly id: string;
  /** The connection has to have taken everything up to this one before. */
  readonly through: string;
  /** Writes that followed that, each late enough after the one before it, and when the last went through. */
  readonly writes: number;
  readonly at: number | undefined;
}

interface Proof {
  /** The last event that is known to be taken. */
  readonly id: string;
  /** The object has asked for it. */
  readonly asked: boolean;
}

export class Delivery {
  #inFlight: Write | undefined;
  /** The last event that the connection has taken, and when. */
  #handed: Timed | undefined;
  /** When a slow link has carried all that the connection has taken. */
  #carriedAt = 0;
  /** Events that wait for the first write that begins late enough after a slow link has carried them. */
  #waiting: Timed[] = [];
  /** An event that has had that write, and when: the next one that begins late enough shows it to be taken. */
  #followed: Timed | undefined;
  #taken: string | undefined;
  #question: Question | undefined;
  #probedAt: number | undefined;

  /** The last event that the reader is known to have taken. */
  get taken(): string | undefined {
    return this.#taken;
  }

  begins(id: string | undefined, bytes: number, now: number): void {
    this.#inFlight = { begun: now, bytes, id };
  }

  /** The write that began last has gone through. Returns the newest event that this proves to be taken; undefined if none. */
  wentThrough(now: number): Proof | undefined {
    const write = this.#inFlight;
    if (!write) return undefined;
    this.#inFlight = undefined;
    const shown = this.#shownBy(write);
    const answered = this.#answeredBy(write, now);
    const proof = this.#settle(
      shown && answered && answered > shown ? answered : (shown ?? answered),
    );
    if (!this.#followed) this.#follow(write, now);
    this.#carry(write, now);
    return proof;
  }

  /**
   * The object wants to know soon that everything up to `id` is taken. Between that and `through` it
   * has sent more than the way to the reader may hold. Returns what is taken if that is known already.
   */
  ask(id: string, through: string): string | undefined {
    if (this.#taken !== undefined && this.#taken >= id) return this.#taken;
    const at = this.#handed && this.#handed.id >= through ? this.#handed.at : undefined;
    this.#question ??= { id, through, writes: 0, at };
    return undefined;
  }

  /** The object wants to know whether the reader is still there: a comment goes out now, and one later. */
  probe(now: number): void {
    this.#probedAt = now;
  }

  /** When a comment is to be written, if nothing else is by then; undefined where none is needed. */
  get commentDue(): number | undefined {
    if (this.#question?.at !== undefined) return this.#question.at + CONFIRM_SOON_MS;
    // After the newest event: one comment then does for all of them.
    const newestAt = Math.max(this.#waiting.at(-1)?.at ?? 0, this.#followed?.at ?? 0);
    const since = this.#probedAt ?? newestAt;
    return since === 0 ? undefined : since + CONFIRM_AFTER_MS;
  }

  /** The comment that was due is written. */
  commented(): void {
    this.#probedAt = undefined;
  }

  #shownBy({ begun }: Write): string | undefined {
    const followed = this.#followed;
    return followed && begun >= followed.at + CONFIRM_AFTER_MS ? followed.id : undefined;
  }

  #answeredBy({ begun, id }: Write, now: number): string | undefined {
    const question = this.#question;
    if (!question) return undefined;
    if (question.at === undefined) {
      if (id !== undefined && id >= question.through) this.#question = { ...question, at: now };
    } else if (begun >= question.at + CONFIRM_SOON_MS) {
      if (question.writes === 1) return question.id;
      this.#question = { ...question, writes: 1, at: now };
    }
    return undefined;
  }

  /** Everything up to this event is taken. Ids of one log sort as text. */
  #settle(id: string | undefined): Proof | undefined {
    if (id === undefined || (this.#taken !== undefined && id <= this.#taken)) return undefined;
    this.#taken = id;
    this.#waiting = this.#waiting.filter((event) => event.id > id);
    if (this.#followed && this.#followed.id <= id) this.#followed = undefined;
    const asked = this.#question !== undefined && this.#question.id <= id;
    if (asked) this.#question = undefined;
    return { id, asked };
  }

  /** This write is the first after the newest event that is old enough, if there is one. */
  #follow({ begun }: Write, now: number): void {
    const young = this.#waiting.findIndex(({ at }) => begun < at + CONFIRM_AFTER_MS);
    if (young === 0) return;
    const old = this.#waiting.splice(0, young < 0 ? Infinity : young);
    const newest = old.at(-1);
    if (newest) this.#followed = { id: newest.id, at: now };
  }

  /** The connection has taken a write, and a slow link begins to carry it. */
  #carry({ id, bytes }: Write, now: number): void {
    this.#carriedAt = Math.max(now, this.#carriedAt) + (bytes * 1000) / SLOW_LINK_BYTES_PER_S;
    if (id === undefined) return;
    this.#handed = { id, at: now };
    if (id === this.#taken) return;
    const event = { id, at: Math.floor(this.#carriedAt) };
    const [last, before] = [this.#waiting.at(-1), this.#waiting.at(-2)];
    // Few are kept: what one write shows of an event, it shows of those shortly before it.
    if (last && before && last.at < before.at + CONFIRM_AFTER_MS) this.#waiting.pop();
    this.#waiting.push(event);
  }
}
