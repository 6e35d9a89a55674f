/** The journal in which all parts of a soak write their actions and observations. */
import type { Answer, Call, Change, Outcome, Publish, Span } from "./history.ts";
import { Timeline } from "./timeline.ts";

/** The outcome of a call on a record. `result` goes to the caller and not into the history. */
export interface Done<T> extends Pick<Change, "outcome" | "value" | "inTime"> {
  readonly result?: T;
}

export class Journal {
  readonly timeline = new Timeline();
  readonly publishes: Publish[] = [];
  readonly calls: Call[] = [];
  readonly answers: Answer[] = [];
  readonly unexpected = new Map<string, number>();
  /** The time at which the publish of each event began, by its data. */
  readonly publishedAt = new Map<string, number>();
  /** Creations through the gateway whose answer, with the session's id, was lost. */
  unnamed = 0;
  readonly #changes = new Map<string, Change[]>();
  #tick = 0;

  /** The changes of one place, a list that grows. */
  changesIn(place: string): Change[] {
    let changes = this.#changes.get(place);
    if (!changes) this.#changes.set(place, (changes = []));
    return changes;
  }

  /** Makes one call on a record and writes down its outcome. */
  async change<T>(
    place: string,
    what: Pick<Change, "record" | "kind" | "value">,
    work: () => Promise<Done<T>>,
  ): Promise<{ outcome: Outcome; result?: T }> {
    const { outcome, value, inTime, result, ...span } = await this.spanned(work);
    const said = value ?? what.value;
    this.changesIn(place).push({
      ...span,
      ...what,
      outcome,
      at: this.timeline.now,
      ...(said !== undefined && { value: said }),
      ...(inTime !== undefined && { inTime }),
    });
    this.timeline.count(outcome === "unknown" ? "failures" : "changes");
    return { outcome, ...(result !== undefined && { result }) };
  }

  /** Adds the beginning and the end to the answer of the work. */
  async spanned<T extends object>(work: () => Promise<T>): Promise<T & Span> {
    const began = this.tick();
    const answer = await work();
    return { ...answer, began, ended: this.tick() };
  }

  /** The number of this moment in the order of all moments. */
  tick(): number {
    return this.#tick++;
  }

  surprise(answer: string): void {
    this.unexpected.set(answer, (this.unexpected.get(answer) ?? 0) + 1);
  }
}
