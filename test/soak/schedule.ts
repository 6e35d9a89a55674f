/** The schedule of faults, made from the seed before the soak begins. */
import type { Random } from "../support/fuzz/random.ts";
import type { FaultIntervals } from "./options.ts";

export type FaultKind = keyof FaultIntervals;

export interface Fault {
  /** Seconds from the start. */
  readonly at: number;
  readonly kind: FaultKind;
}

/** Seconds at the start without faults. */
const HEAD_START_SECONDS = 2;

/** Each kind strikes once in each of its intervals, at a random moment of its middle half. */
export function scheduleFaults(
  seconds: number,
  intervals: FaultIntervals,
  random: Random,
): readonly Fault[] {
  const faults: Fault[] = [];
  for (const [kind, interval] of Object.entries(intervals) as [FaultKind, number][]) {
    if (interval <= 0) continue;
    for (let from = HEAD_START_SECONDS; from < seconds; from += interval) {
      const at = from + interval * (0.25 + random.next() / 2);
      if (at < seconds) faults.push({ at, kind });
    }
  }
  return faults.toSorted((a, b) => a.at - b.at);
}
