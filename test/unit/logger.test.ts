import { expect, it } from "vitest";
import { createLogger, describeFailure } from "../../src/logger.ts";

it("writes one JSON line an event, at its level and above", () => {
  const lines: string[] = [];
  const log = createLogger("info", (line) => lines.push(line));
  log.debug("hidden");
  log.info("seen", { session: "8c2d0cf4…" });
  log.warn("also");
  expect(lines.map((line) => JSON.parse(line) as object)).toEqual([
    { time: expect.any(String), level: "info", event: "seen", session: "8c2d0cf4…" },
    { time: expect.any(String), level: "warn", event: "also" },
  ]);
});

it("cannot be made to write a second line by what it is given", () => {
  const lines: string[] = [];
  createLogger("info", (line) => lines.push(line)).info("x", {
    detail: 'a\n{"level":"error"}\r\u2028',
  });
  expect(lines).toHaveLength(1);
  expect(lines[0]).not.toMatch(/[\n\r]/);
});

it("says of a failure its kind and message, never its stack", () => {
  expect(describeFailure(new TypeError("no"))).toBe("TypeError: no");
  expect(describeFailure("text")).toBe("text");
});
