/** Where all that takes part in a soak writes down what it did and saw. */
import type { Call, Change, Outcome, Publish, Span } from "./history.ts";
import { Timeline } from "./timeline.ts";

/** How a call on a record ended; `result` is for its caller alone. */
export interface Done<T> extends Pick<Change, "outcome" | "value" | "inTime"> {
  readonly result?: T;
}

export class Journal {
  readonly timeline = new Timeline();
  readonly publishes: Publish[] = [];
  readonly calls: Call[] = [];
  readonly unexpected = new Map<string, number>();
  /** When the publish of each event began, by what it carries. */
  readonly publishedAt = new Map<string, number>();
  /** Creations through the gateway whose answer, and with it the session's id, was lost. */
  unnamed = 0;
  readonly #changes = new Map<string, Change[]>();
  #tick = 0;

  /** The changes of one place, which grow. */
  changesIn(place: string): Change[] {
    let changes = this.#changes.get(place);
    if (!changes) this.#changes.set(place, (changes = []));
    return changes;
  }

  /** Does one call on a record, and writes down how it ended. */
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
      ...(said !== undefined && { value: said }),
      ...(inTime !== undefined && { inTime }),
    });
    this.timeline.count(outcome === "unknown" ? "failures" : "changes");
    return { outcome, ...(result !== undefined && { result }) };
  }

  /** What the work answers, with when it began and ended. */
  async spanned<T extends object>(work: () => Promise<T>): Promise<T & Span> {
    const began = this.tick();
    const answer = await work();
    return { ...answer, began, ended: this.tick() };
  }

  /** This moment's place in the order of all that happens. */
  tick(): number {
    return this.#tick++;
  }

  surprise(answer: string): void {
    this.unexpected.set(answer, (this.unexpected.get(answer) ?? 0) + 1);
  }
}
