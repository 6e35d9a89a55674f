/**
 * Makes every "no such session" take as long. What stands behind one differs: an
 * object in memory or not, a file that exists or is made (measured on plain workerd:
 * 2.2 ms for another's session, 3.6 ms for an id never asked for before; 18 and 40 ms on a
 * machine with four times the work that it can do). A stranger who could time that would learn
 * which ids exist, and can make the machine busy.
 */
import { SessionError } from "../core/errors.ts";

/** Milliseconds that such an answer takes at least: several times what the slowest of them takes on a machine at rest. */
const LEAST_MS = 10;

/** Milliseconds that one is held back at most, however slow others were: a client waits for it. */
const MOST_MS = 250;

/** Such answers that are remembered: enough for a slow one to be among them, few enough for a slow while to pass. */
const REMEMBERED = 64;

/** How long a refusal is to take: as long as the slowest of the last ones took by itself. */
export class RefusalTime {
  readonly #took: number[] = [];
  #count = 0;

  /** Milliseconds in all for one that took so many by itself. */
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
