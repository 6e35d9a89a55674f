/** What tests start, and what ends it: the test itself, the file, or a test that runs beside others. */
import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, beforeAll, onTestFinished } from "vitest";

type End = () => unknown;

const scopes = new AsyncLocalStorage<End[]>();

/** Runs `end` when what is under way here ends: all tests that share it, or else the test. The last comes first. */
export function atEnd(end: End): void {
  const ends = scopes.getStore();
  if (ends) ends.unshift(end);
  else onTestFinished(async () => void (await end()));
}

async function endAll(ends: readonly End[]): Promise<void> {
  for (const end of ends) await end();
}

/**
 * Starts something once for all tests of the file, or of the `describe` that it stands in, and ends
 * it after them.
 *
 * @example
 * const service = shared(() => Service.start());
 * it("answers", async () => {
 *   expect((await service().fetch("/healthz")).status).toBe(200);
 * });
 */
export function shared<T>(start: () => Promise<T>): () => T {
  const ends: End[] = [];
  let started: { readonly value: T } | undefined;
  beforeAll(async () => {
    started = { value: await scopes.run(ends, start) };
  });
  afterAll(() => endAll(ends));
  return () => {
    if (!started) throw new Error("this is started before the first test, and not earlier");
    return started.value;
  };
}

/**
 * The body of an `it.concurrent`, for whose helpers vitest does not know which test calls them.
 * What they start ends with this body.
 */
export function beside<Args extends readonly unknown[]>(
  body: (...args: Args) => Promise<void>,
): (...args: Args) => Promise<void> {
  return async (...args) => {
    const ends: End[] = [];
    try {
      await scopes.run(ends, () => body(...args));
    } finally {
      await endAll(ends);
    }
  };
}
