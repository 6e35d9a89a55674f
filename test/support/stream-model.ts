/**
 * A model of a session's stream, from the contract: the log, and the events that readers must get.
 * The property tests compare the service with it. An event's data begins with its number and a space.
 */
import { expect } from "vitest";
import type { EventPage } from "../../src/core/api.ts";

/** The name of all events, which the stream's own events do not have. */
export const NAME = "n";

export interface Bounds {
  readonly maxEvents: number;
  readonly maxBytes: number;
}

interface ModelEvent {
  readonly id: string;
  readonly data: string;
}

const encoder = new TextEncoder();
const sizeOf = (data: string) => encoder.encode(NAME + data).length;

export class StreamModel {
  readonly #bounds: Bounds;
  #retainedBytes = 0;
  readonly events: ModelEvent[] = [];
  /** The number of the first event that is retained. */
  first = 0;
  /** The id of the `ended` frame, once the stream has ended. */
  endedId: string | undefined;

  constructor(bounds: Bounds) {
    this.#bounds = bounds;
  }

  /** The number of the next event. */
  get next(): number {
    return this.events.length;
  }

  add(ids: readonly string[], data: readonly string[]): void {
    expect(ids).toHaveLength(data.length);
    const { maxEvents, maxBytes } = this.#bounds;
    for (const [n, one] of data.entries()) {
      this.events.push({ id: ids[n]!, data: one });
      this.#retainedBytes += sizeOf(one);
    }
    // As one: a publish is stored whole before anything is trimmed, and the last event stays.
    while (
      this.first < this.next - 1 &&
      (this.next - this.first > maxEvents || this.#retainedBytes > maxBytes)
    ) {
      this.#retainedBytes -= sizeOf(this.events[this.first++]!.data);
    }
  }

  /** A page of JSON after this id must be this one. */
  checkPage(page: EventPage, after: string | undefined, limit: number): void {
    const place = after === undefined ? undefined : this.#placeAfter(after);
    const resumes = place !== undefined && place >= this.first;
    const from = resumes ? place : this.first;
    const events = this.events.slice(from, from + limit);
    const ended = this.endedId !== undefined && from + events.length === this.next;
    const before = this.events[from - 1]?.id ?? (resumes ? after : undefined);
    const last = ended ? this.endedId : (events.at(-1)?.id ?? before);
    // Without an id the service tells it of events that were trimmed unread: only the service knows of them.
    const isTrimmed = this.first > 0 && page.gap?.requested === null;
    const gap = after === undefined ? isTrimmed : !resumes;
    const earliest = this.events[this.first]?.id ?? null;
    expect(page).toEqual({
      events: events.map(({ id, data }) => ({ id, event: NAME, data })),
      // The id of the place before the very first event is in no answer.
      lastEventId: last ?? (expect.any(String) as string),
      ended,
      ...(gap && { gap: { requested: after ?? null, earliest } }),
    });
  }

  /**
   * Checks the events that a reader with an id received over all its connections up to the end:
   * every event from `earliest` on, once and in order, except those that a gap says it missed. Its first
   * connection may have been made as late as when `latest` was the earliest event.
   */
  checkResumed(received: readonly string[], earliest: number, latest = earliest): void {
    const startFor = (first: number) => Math.max(earliest, Math.min(first, latest));
    expect(received.at(-1)).toBe("ended");
    expect(this.#through(received.slice(0, -1), earliest, startFor)).toBe(this.next);
  }

  /**
   * Checks the events that one reader without an id received. The first is the first one that no
   * reader had seen, or an earlier one, unless a gap says otherwise.
   */
  checkFresh(received: readonly string[], unseen: number): void {
    const hasEnd = received.at(-1) === "ended";
    const events = hasEnd ? received.slice(0, -1) : received;
    const through = this.#through(events, unseen, (first) => Math.min(first, unseen));
    // The stream leaves out nothing before the end either.
    if (hasEnd) expect(through).toBe(this.next);
  }

  /** Follows what was received, and returns the number after it. */
  #through(received: readonly string[], from: number, startFor: (first: number) => number): number {
    let expected: number | undefined;
    let afterGap = false;
    for (const data of received) {
      if (data === "gap") {
        afterGap = true;
        continue;
      }
      const n = numberOf(data);
      if (afterGap) {
        // Never a repeat, and only past events that are not retained.
        if (expected !== undefined) expect(n).toBeGreaterThan(expected);
        expect(n).toBeLessThanOrEqual(this.first);
        expect(n).toBeGreaterThan(0);
        expected = n;
        afterGap = false;
      }
      expected ??= startFor(n);
      expect(n).toBe(expected);
      expect(data).toBe(this.events[n]?.data);
      expected++;
    }
    return expected ?? from;
  }

  /** The number of the event after the one with this id; undefined for an id of none. */
  #placeAfter(id: string): number | undefined {
    if (id === this.endedId) return this.next;
    const at = this.events.findIndex((event) => event.id === id);
    return at < 0 ? undefined : at + 1;
  }
}

export function numberOf(data: string): number {
  return Number(data.split(" ", 1)[0]);
}

const FRAME = `event: ${NAME}\ndata: `;

/** The number after the last event that arrived whole; 0 for none. */
export function seenIn(text: string): number {
  const whole = text.slice(0, text.lastIndexOf("\n\n") + 1);
  const at = whole.lastIndexOf(FRAME);
  return at < 0 ? 0 : numberOf(whole.slice(at + FRAME.length)) + 1;
}
