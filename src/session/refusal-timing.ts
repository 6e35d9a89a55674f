/**
 * Makes every "no such session" take equally long. By itself it does not: the object may be in
 * memory or not, and its file may exist or not (measured on plain workerd: 2.2 ms for another's
 * session, 3.6 ms for an id never asked for before; 18 and 40 ms on an overloaded machine). A
 * stranger who timed that, and made the machine busy, would learn which ids exist.
 */
import { SessionError } from "../core/errors.ts";

/** Milliseconds that such an answer takes at least: several times the slowest one on a machine at rest. */
const LEAST_MS = 10;

/** Milliseconds that such an answer is held back at most: a client waits for it. */
const MOST_MS = 250;

/** Remembered answers: enough to hold a slow one, few enough to forget a slow moment. */
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

export function withEvenRefusals<T extends object>(sessions: T, time: RefusalTime): T {
  return new Proxy(sessions, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        const began = Date.now();
        const even = () => {
          const tookMs = Date.now() - began;
          return new Promise((resolve) => setTimeout(resolve, time.for(tookMs) - tookMs));
        };
        try {
          const value: unknown = await Reflect.apply(method, target, args);
          if (value === false) await even();
          return value;
        } catch (failure) {
          if (saysAbsent(failure)) await even();
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
