/**
 * Makes every "no such session" take equally long. Otherwise the time depends on whether the object
 * is in memory and whether its file exists (measured on plain workerd: 2.2 ms for another's session,
 * 3.6 ms for an id never asked for before; 18 and 40 ms on an overloaded machine). A stranger who
 * measured it on a busy machine would learn which ids exist.
 */
import { SessionError } from "../core/errors.ts";
import { sleep } from "../wire/timers.ts";

/** Milliseconds that such an answer takes at least: several times the slowest one on a machine at rest. */
const LEAST_MS = 10;

/** Milliseconds that such an answer is held back at most: a client waits for it. */
const MOST_MS = 250;

/** How many answers are remembered: enough to hold a slow one, few enough to forget a slow moment. */
const REMEMBERED = 64;

/** Makes a refusal take as long as the slowest of the last ones took by itself. */
export class RefusalTime {
  readonly #took: number[] = [];
  #count = 0;

  /** Milliseconds that a refusal is to take in all, if it took `tookMs` by itself. */
  for(tookMs: number): number {
    this.#took[this.#count++ % REMEMBERED] = tookMs;
    return Math.min(Math.max(LEAST_MS, ...this.#took), MOST_MS);
  }
}

/**
 * The same sessions, whose refusals take at least as long as `time` says. A refusal is a rejection
 * with `session_not_found` or `precondition_failed`, or the value `false`.
 */
export function withPaddedRefusals<T extends object>(sessions: T, time: RefusalTime): T {
  return new Proxy(sessions, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        const began = Date.now();
        const pad = () => {
          const tookMs = Date.now() - began;
          return sleep(time.for(tookMs) - tookMs);
        };
        try {
          const value: unknown = await Reflect.apply(method, target, args);
          if (value === false) await pad();
          return value;
        } catch (failure) {
          if (saysAbsent(failure)) await pad();
          throw failure;
        }
      };
    },
  });
}

function saysAbsent(failure: unknown): boolean {
  if (!(failure instanceof SessionError)) return false;
  return failure.code === "session_not_found" || failure.code === "precondition_failed";
}
