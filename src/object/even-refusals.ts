/**
 * Makes every "no such session" take as long. What stands behind one differs: an
 * object in memory or not, a file that exists or is made (measured on plain workerd:
 * 2.2 ms for another's session, 3.6 ms for an id never asked for before). A
 * stranger who could time that would learn which ids exist.
 */
import { SessionError } from "../session/errors.ts";
import type { Sessions } from "../session/host.ts";

/** Milliseconds that such an answer takes at least: several times what the slowest of them takes by itself. */
const LEAST_MS = 10;

export function evened(sessions: Sessions): Sessions {
  return new Proxy(sessions, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name, target);
      if (typeof method !== "function") return method;
      return async (...args: unknown[]) => {
        const began = Date.now();
        try {
          const value: unknown = await Reflect.apply(method, target, args);
          if (value === false) await until(began + LEAST_MS);
          return value;
        } catch (failure) {
          if (saysAbsent(failure)) await until(began + LEAST_MS);
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

function until(at: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, at - Date.now())));
}
