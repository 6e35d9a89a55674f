/** How a call to an object is tried: once, or again while the platform says that its failure is passing. */
import { UnavailableError } from "../core/errors.ts";
import { sleep } from "../wire/timers.ts";

/** Further tries of a call that may be repeated, when the platform says that the failure is passing. */
const RETRIES = 2;
/** Milliseconds before the first retry; doubled each time, with as much again at random. */
const RETRY_DELAY_MS = 50;

export type Attempt = <R>(call: () => Promise<R>) => Promise<R>;

export async function once<R>(call: () => Promise<R>): Promise<R> {
  try {
    return await call();
  } catch (failure) {
    throw new UnavailableError(undefined, { cause: failure });
  }
}

export async function repeatable<R>(call: () => Promise<R>): Promise<R> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await call();
    } catch (failure) {
      if (attempt >= RETRIES || !isPassing(failure)) {
        throw new UnavailableError(undefined, { cause: failure });
      }
      const delay = RETRY_DELAY_MS * 2 ** attempt * (1 + Math.random());
      await sleep(delay);
    }
  }
}

/** The platform marks failures that a new try may pass; an overloaded object must not be tried again. */
function isPassing(failure: unknown): boolean {
  const { retryable, overloaded } = failure as { retryable?: boolean; overloaded?: boolean };
  return retryable === true && overloaded !== true;
}

/** For some minutes after a deploy an object may run code without the method. That failure shows nothing. */
export function unlessOlder(failure: unknown): void {
  if (!/does not implement the method/.test(String(failure))) throw failure;
}
