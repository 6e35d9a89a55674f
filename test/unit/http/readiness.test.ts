import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { READY_MS, READY_TIMEOUT_MS } from "../../../src/core/limits.ts";
import { createLogger } from "../../../src/logger.ts";
import { Readiness, type Checks } from "../../../src/http/readiness.ts";

let lines: { event: string; check?: string; cause?: string }[];
let asked: number;
let storage: () => Promise<void>;

beforeEach(() => {
  vi.useFakeTimers();
  lines = [];
  asked = 0;
  storage = () => Promise.resolve();
});
afterEach(() => void vi.useRealTimers());

function readinessOf(more: Checks = {}): Readiness {
  const log = createLogger("info", (line) =>
    lines.push(JSON.parse(line) as (typeof lines)[number]),
  );
  const check = () => {
    asked++;
    return storage();
  };
  return new Readiness({ storage: check, ...more }, log);
}

it("names the checks that fail, and logs why", async () => {
  const fail = () => Promise.reject(new Error("secret"));
  const readiness = readinessOf({ keys: fail });
  expect(await readiness.failing()).toEqual(["keys"]);
  expect(lines).toMatchObject([
    { event: "service.not_ready", check: "keys", cause: "Error: secret" },
  ]);
});

it("checks once in a moment, however many ask", async () => {
  const readiness = readinessOf();
  const answers = await Promise.all(
    Array.from({ length: 100 }, () => {
      const answer = readiness.failing();
      void vi.advanceTimersByTimeAsync(20);
      return answer;
    }),
  );
  expect(answers.flat()).toEqual([]);
  await vi.advanceTimersByTimeAsync(READY_MS - 100);
  await readiness.failing();
  expect(asked).toBeLessThanOrEqual(2);
  const before = asked;
  await vi.advanceTimersByTimeAsync(READY_MS);
  await readiness.failing();
  expect(asked).toBe(before + 1);
});

it("answers what it knows while a check goes on, and counts one that hangs as failed", async () => {
  const readiness = readinessOf();
  await readiness.failing();
  storage = () => new Promise(() => undefined);
  await vi.advanceTimersByTimeAsync(READY_MS);
  const checking = readiness.failing();
  expect(await readiness.failing()).toEqual([]);
  await vi.advanceTimersByTimeAsync(READY_TIMEOUT_MS);
  expect(await checking).toEqual(["storage"]);
  expect(asked).toBe(2);
});

it("has the others wait for the first check", async () => {
  const first = Promise.withResolvers<void>();
  storage = () => first.promise;
  const readiness = readinessOf();
  const both = Promise.all([readiness.failing(), readiness.failing()]);
  await vi.advanceTimersByTimeAsync(100);
  first.reject(new Error("no"));
  await vi.advanceTimersByTimeAsync(20);
  expect(await both).toEqual([["storage"], ["storage"]]);
  expect(asked).toBe(1);
});

it("logs a change alone", async () => {
  const readiness = readinessOf();
  storage = () => Promise.reject(new Error("full"));
  for (let n = 0; n < 3; n++) {
    await readiness.failing();
    await vi.advanceTimersByTimeAsync(READY_MS);
  }
  storage = () => Promise.resolve();
  await readiness.failing();
  expect(lines.map(({ event }) => event)).toEqual(["service.not_ready", "service.ready"]);
});
