import { UnavailableError } from "../session/errors.ts";

/**
 * Waits for `work`, but no longer than `timeoutMs` milliseconds and not past
 * `signal`. Rejects with `UnavailableError` on the one, with the signal's reason
 * on the other; `work` gets a signal of its own that says so, and what becomes of
 * it then is nobody's concern. `late` begins what the error says.
 */
export async function withDeadline<T>(
  work: (signal: AbortSignal) => Promise<T>,
  timeoutMs: number,
  signal?: AbortSignal,
  late = "The session store did not answer",
): Promise<T> {
  signal?.throwIfAborted();
  const controller = new AbortController();
  const abandoned = new Promise<never>((_resolve, reject) => {
    controller.signal.addEventListener("abort", () => reject(asError(controller.signal.reason)));
  });
  const timer = setTimeout(() => {
    controller.abort(new UnavailableError(`${late} within ${timeoutMs} ms.`));
  }, timeoutMs);
  const cancel = () => controller.abort(signal?.reason);
  signal?.addEventListener("abort", cancel);
  try {
    return await Promise.race([work(controller.signal), abandoned]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", cancel);
  }
}

/** The reason of a signal can be anything; what is thrown should be an Error. */
function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
