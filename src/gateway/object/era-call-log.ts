/** The log of a call for which its client, or its task, comes back: its row, and what came while nobody waited for it. */
import { messagesIn, type RequestId, type WrittenMessage } from "../json-rpc.ts";
import type { EraPlace } from "./era-states.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { GatewayStreams } from "./streams.ts";
import { Turn } from "./turn.ts";

export class EraCallLog {
  readonly #upstreamId: RequestId;
  readonly #streams: GatewayStreams;
  readonly #backlog = new Turn();
  /** Undefined: nothing of the call is stored. */
  #row: OpenExchange | undefined;
  #isClosed = false;

  constructor(upstreamId: RequestId, streams: GatewayStreams, row: OpenExchange | undefined) {
    this.#upstreamId = upstreamId;
    this.#streams = streams;
    this.#row = row;
  }

  /** Whether another life of the object can resume the upstream's stream. */
  get isResumable(): boolean {
    return this.#row?.upstreamId !== undefined;
  }

  /** Where the call goes on, in the log and at the upstream. A call without a row gets one. */
  place(resumesAfter: string | undefined): EraPlace {
    const { stream } = (this.#row ??= this.#streams.beginExchange(
      [this.#upstreamId],
      false,
      resumesAfter,
    ));
    return { stream, seq: this.#streams.lastSeq, resumesAfter, upstreamId: this.#upstreamId };
  }

  /** The upstream's stream can be resumed after this event. `isKept`: a call without a row gets one. */
  resumable(after: string, isKept: boolean): void {
    const row = this.#row;
    if (!row && isKept) this.place(after);
    // Its client was asked by another stream, before this one had said anything.
    else if (row && !row.upstreamId) this.#row = this.#streams.resumeAfter(row, after);
  }

  /** The messages after this place. */
  after(seq: number): WrittenMessage[] {
    if (!this.#row) return [];
    return this.#streams.messagesAfter(this.#row.stream, seq).flatMap((text) => messagesIn(text));
  }

  /** Whether there is room for one more message before some are to be stored. */
  fits(text: string): boolean {
    return this.#backlog.fits(text);
  }

  add(text: string): void {
    this.#backlog.add(text);
  }

  /** Stores what was added. Returns whether there was anything. */
  store(pending: readonly RequestId[], resumesAfter: string | undefined): boolean {
    const texts = this.#backlog.take();
    if (!this.#row || texts.length === 0) return false;
    this.#streams.say(this.#row, texts, pending, resumesAfter);
    return true;
  }

  /** The call is over, and somebody has had all of it. */
  close(): void {
    if (!this.#row || this.#isClosed) return;
    this.#streams.say(this.#row, [], []);
    this.#isClosed = true;
  }
}
