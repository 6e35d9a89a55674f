/** Throughput, latency, failures and faults, by the second. */
import { setTimeout as sleep } from "node:timers/promises";
import type { FaultKind } from "./schedule.ts";

/** Milliseconds within which the end of a process is known after its connections have failed. */
const END_MS = 500;

interface Second {
  published: number;
  delivered: number;
  changes: number;
  failures: number;
  /** Milliseconds from the start of a publish to each receipt. */
  readonly latencies: number[];
}

/** A stretch of time; rates are per second, latencies in milliseconds. */
interface Stretch {
  /** Seconds from the start to its end. */
  readonly at: number;
  readonly publishedPerSecond: number;
  readonly deliveredPerSecond: number;
  readonly changesPerSecond: number;
  /** Calls without an answer, or with an answer that says that the service failed. */
  readonly failures: number;
  readonly p50: number | null;
  readonly p99: number | null;
}

/** A fault of the schedule, or an end of the service's process that nobody asked for. */
type StruckKind = FaultKind | "end";

export interface StruckFault {
  /** Seconds from the start. */
  readonly at: number;
  readonly kind: StruckKind;
  readonly target: string;
  /** Seconds from the start until the fault is over and a killed process is up again. */
  until: number;
}

type Count = "published" | "delivered" | "changes" | "failures";

export class Timeline {
  #started = performance.now();
  readonly #seconds: Second[] = [];
  readonly faults: StruckFault[] = [];

  /** Time counts from here on. */
  start(): void {
    this.#started = performance.now();
  }

  /** The start, as an ISO date. */
  get startedAt(): string {
    return new Date(performance.timeOrigin + this.#started).toISOString();
  }

  /** Seconds from the start. */
  get now(): number {
    return (performance.now() - this.#started) / 1000;
  }

  count(what: Count, times = 1): void {
    this.#second(Math.floor(this.now))[what] += times;
  }

  deliveredAfter(milliseconds: number): void {
    const second = this.#second(Math.floor(this.now));
    second.delivered++;
    second.latencies.push(milliseconds);
  }

  /** Carries out a fault and writes down its beginning and its end. */
  async struck(kind: StruckKind, target: string, strike: () => Promise<void>): Promise<void> {
    const fault = { at: this.now, kind, target, until: Infinity };
    this.faults.push(fault);
    await strike();
    fault.until = this.now;
  }

  /**
   * Whether a fault has ended the process or this session's object since then, or was still under
   * way. The platform ends an object that cannot store.
   */
  endedSince(at: number, session?: string): boolean {
    return this.faults.some(
      ({ kind, until, target }) =>
        until >= at &&
        (kind === "kill" ||
          kind === "end" ||
          kind === "disk" ||
          (kind === "abort" && target === session)),
    );
  }

  /** As `endedSince`, for a call that has just failed: a process that ended by itself is noticed a moment later. */
  async hasEndedSince(at: number, session?: string): Promise<boolean> {
    if (!this.endedSince(at, session)) await sleep(END_MS);
    return this.endedSince(at, session);
  }

  /** Sums up the seconds from one whole second to another. */
  stretch(from: number, to: number): Stretch {
    const seconds = Array.from({ length: to - from }, (_, n) => this.#second(from + n));
    const latencies = seconds.flatMap((second) => second.latencies).toSorted((a, b) => a - b);
    const quantile = (share: number) =>
      rounded(latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]);
    const sum = (what: Count) => seconds.reduce((all, second) => all + second[what], 0);
    return {
      at: to,
      publishedPerSecond: sum("published") / (to - from),
      deliveredPerSecond: sum("delivered") / (to - from),
      changesPerSecond: sum("changes") / (to - from),
      failures: sum("failures"),
      p50: quantile(0.5),
      p99: quantile(0.99),
    };
  }

  #second(n: number): Second {
    return (this.#seconds[n] ??= {
      published: 0,
      delivered: 0,
      changes: 0,
      failures: 0,
      latencies: [],
    });
  }
}

function rounded(milliseconds: number | undefined): number | null {
  return milliseconds === undefined ? null : Math.round(milliseconds * 100) / 100;
}
