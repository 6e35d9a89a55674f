/** Counts an attack's answers. */
import type { FuzzAnswer } from "../support/fuzz/client.ts";

export class Tally {
  attempts = 0;
  /** 503 with `Retry-After`. */
  refused = 0;
  /** Every other 5xx, and a 503 without `Retry-After`. */
  failed = 0;
  hangs = 0;
  /** Connections that were closed or refused without an answer. */
  closed = 0;
  /** Bytes of the longest answer. */
  longest = 0;
  readonly statuses: Record<string, number> = {};

  add(answer: FuzzAnswer | string): void {
    this.attempts++;
    const key = typeof answer === "string" ? answer : String(answer.status);
    this.statuses[key] = (this.statuses[key] ?? 0) + 1;
    if (answer === "hang") this.hangs++;
    else if (typeof answer === "string") this.closed++;
    else {
      this.longest = Math.max(this.longest, Buffer.byteLength(answer.body));
      if (answer.status < 500) return;
      if (answer.status === 503 && /^retry-after$/im.test(answer.headers)) this.refused++;
      else this.failed++;
    }
  }
}
