/**
 * Fails a test file that leaves a global replaced. Files of this project share a process: a clock
 * that one leaves standing has the timers of those after it never fire, and they hang.
 */
import { afterAll, vi } from "vitest";

const NAMES = [
  "Date",
  "Response",
  "WebSocket",
  "clearInterval",
  "clearTimeout",
  "fetch",
  "queueMicrotask",
  "setImmediate",
  "setInterval",
  "setTimeout",
] as const;

const before = NAMES.map((name) => globalThis[name]);

// Of the hooks after a file the first comes last, so that its own have put back what they replaced.
afterAll(() => {
  // Vitest itself does so before the next file: a spy on a fake timer puts the fake one back.
  vi.restoreAllMocks();
  const replaced = NAMES.filter((name, place) => globalThis[name] !== before[place]);
  for (const name of replaced) Object.assign(globalThis, { [name]: before[NAMES.indexOf(name)] });
  if (replaced.length > 0) throw new Error(`this file leaves ${replaced.join(", ")} replaced`);
});
