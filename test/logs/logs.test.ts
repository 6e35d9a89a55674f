/**
 * Checks every line that the service logged in the whole suite, over real HTTP and in workerd. It
 * runs after every other test; alone it has no lines, and fails. No line may hold a secret or
 * content, and every line has the shape that is declared in test/support/log-shapes.ts. The shapes also catch content that no
 * test has marked: no field can hold it.
 */
import { expect, it } from "vitest";
import { CANARY } from "../support/canary.ts";
import { keptLines } from "../support/kept-logs.ts";
import { SHAPES, UUID } from "../support/log-shapes.ts";

const lines = keptLines();
const SECRETS: Readonly<Record<string, RegExp>> = {
  "an API token": /hf_[\w-]{20,}/,
  "a JWT or a ticket": /eyJ[\w-]{8,}/,
  "an Authorization header": /\bbearer [\w-]/i,
  "a ticket's parameter": /ticket=/,
  "a secret of a variable": /ticket-secret|TICKET_SECRET=|hunter2/,
  "marked content": new RegExp(CANARY),
  "a stack": /\n\s+at |^\s+at \S+ \(/,
};

const service = lines.flatMap((line) => {
  try {
    const value = JSON.parse(line) as Record<string, unknown>;
    return typeof value === "object" && value !== null && "event" in value ? [{ line, value }] : [];
  } catch {
    return [];
  }
});

it("has something to look through, of every place that logs", () => {
  const events = new Set(service.map(({ value }) => value["event"]));
  for (const event of ["object.start", "writer.attach", "writer.leave", "session.deleted"]) {
    expect(events).toContain(event);
  }
});

it.each(Object.entries(SECRETS))("never holds %s", (_what, pattern) => {
  expect(lines.filter((line) => pattern.test(line))).toEqual([]);
});

it("has only lines of the declared shapes", () => {
  const odd = service.filter(({ value: { time, level, event, ...fields } }) => {
    const shape = SHAPES[String(event)];
    const usual =
      /^\d{4}-.*Z$/.test(String(time)) && /^(debug|info|warn|error)$/.test(String(level));
    const declared = Object.entries(fields).every(([name, value]) =>
      shape?.[name]?.test(String(value)),
    );
    return !shape || !usual || !declared;
  });
  expect(odd.map(({ line }) => line)).toEqual([]);
});

it("names a session in full at debug only", () => {
  const told = service.filter(
    ({ line, value }) => value["level"] !== "debug" && new RegExp(UUID).test(line),
  );
  expect(told.map(({ line }) => line)).toEqual([]);
});
