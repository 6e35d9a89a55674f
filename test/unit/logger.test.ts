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

it("says of text that could not be read nothing but that", () => {
  const failure = (() => {
    try {
      return JSON.parse("secret content") as unknown;
    } catch (thrown) {
      return thrown;
    }
  })();
  expect((failure as Error).message).toContain("secret");
  expect(describeFailure(failure)).toBe("SyntaxError");
});

it("escapes what a terminal or a log reader would take for a line's end or a command", () => {
  const lines: string[] = [];
  const detail = "\u0085\u2028\u2029\u009b2J\u007f";
  createLogger("info", (line) => lines.push(line)).info("x", { detail });
  expect(lines[0]).toMatch(/^[\x20-\x7e]*$/);
  expect(JSON.parse(lines[0]!)).toMatchObject({ detail });
});
