/** Ends everything that tests start: at the end of the test, of the file, or of a test that runs beside others. */
import { AsyncLocalStorage } from "node:async_hooks";
import { afterAll, onTestFinished } from "vitest";

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
 * Starts something once for all tests of the file, or of the `describe` that it stands in: for the
 * first that asks, and once for each list of arguments. It ends after them. It is not for a test
 * that kills it, or that looks at all that it said.
 *
 * @example
 * const start = shared((env: Record<string, string> = {}) => Service.start(env));
 * it("answers", async () => {
 *   const service = await start();
 *   expect((await service.fetch("/healthz")).status).toBe(200);
 * });
 */
export function shared<Args extends readonly unknown[], T>(
  start: (...args: Args) => Promise<T>,
): (...args: Args) => Promise<T> {
  const ends: End[] = [];
  const started = new Map<string, Promise<T>>();
  afterAll(() => endAll(ends));
  return (...args) => {
    const key = JSON.stringify(args);
    const first = started.get(key) ?? scopes.run(ends, () => start(...args));
    started.set(key, first);
    return first;
  };
}

/**
 * The body of an `it.concurrent`, for whose helpers vitest does not know which test calls them.
 * All that they start ends with this body.
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
