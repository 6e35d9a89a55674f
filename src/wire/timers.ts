/** Waits for a time, or for a promise up to a time. */
import type { Aborting } from "./abort.ts";

/** Resolves after `ms` milliseconds, or as soon as `signal` aborts. Leaves no timer behind. */
export function sleep(ms: number, signal?: Aborting): Promise<void> {
  if (signal?.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const over = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", over);
      resolve();
    };
    const timer = setTimeout(over, ms);
    signal?.addEventListener("abort", over);
  });
}

/** Settles as `work` does. After `ms` milliseconds without that, returns or throws what `late` does. Leaves no timer behind. */
export async function within<T>(work: Promise<T>, ms: number, late: () => T): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  try {
    return await Promise.race([work, timeUp.then(late)]);
  } finally {
    clearTimeout(timer);
  }
}
