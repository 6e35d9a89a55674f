import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { WorkerdLog } from "../../../scripts/log-line.ts";
import { COUNTED_MS, MOST_KINDS } from "../../../src/signals/repeats.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function logging() {
  const lines: string[] = [];
  const log = new WorkerdLog((one) => lines.push(one));
  const said = () => lines.map((one) => JSON.parse(one) as { line?: string; repeated?: number });
  return { log, lines, said };
}

function told(line: string): unknown[] {
  const { log, said } = logging();
  log.take(line);
  return said();
}

it("passes the Worker's own lines on as they are", () => {
  const line = '{"time":"2026-11-22T20:50:30.288Z","level":"info","event":"session.deleted"}';
  expect(told(line)).toEqual([JSON.parse(line)]);
});

it.each(["workerd/server/x.rs:1: error: Uncaught exception", "{not JSON", '{"json":"of another"}'])(
  "makes a JSON line of %s",
  (line) => {
    expect(told(line)).toEqual([
      { time: expect.any(String), level: "warn", event: "workerd", line },
    ]);
  },
);

it("bounds what it passes on, and leaves no character that ends a line", () => {
  const { log, lines } = logging();
  log.take(`x\u2028\u0085${"y".repeat(1000)}`);
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/"line":"x\\u2028\\u0085y{497}"}$/);
});

it("says nothing of a reader that was cut, of which the log has a line already", () => {
  const line =
    "workerd/server/server/listen/mod.rs:372: error: Uncaught exception: workerd/jsg/value.h:1511: failed: remote.jsg.Error: reader cut: stalled";
  expect(told(line)).toEqual([]);
  expect(told("")).toEqual([]);
});

it("says nothing of each alarm that was spread, of which the log has one line for all", () => {
  const line =
    "workerd/io/actor-sqlite.c++:1031: warning: NOSENTRY SQLite alarm overdue, running despite AlarmManager mismatch; scheduledTime = 1";
  expect(told(line)).toEqual([]);
});

const refused = (pid: number) =>
  `workerd/server/server/listen/mod.rs:363: error: HTTP connection failed: dup(): Too many open files (os error ${pid})`;

it("counts lines that differ in numbers and references alone, and says once how many came", () => {
  const { log, said } = logging();
  for (let n = 0; n < 5000; n++) log.take(refused(n));
  expect(said()).toMatchObject([{ line: refused(0) }]);
  vi.advanceTimersByTime(COUNTED_MS);
  expect(said().slice(1)).toMatchObject([{ line: refused(4999), repeated: 4999 }]);
  const crash = (reference: string) =>
    `internal error; reference = ${reference}; at @5d3ece${reference.length}`;
  log.take(crash("1455nko2ole5081qdro0u81m"));
  log.take(crash("a44pffob1cv47dve6bk4ggd"));
  log.take(crash("a44pffobcvgdvebkgggd"));
  log.end();
  expect(said().slice(2)).toMatchObject([{}, { repeated: 2 }]);
});

it("writes a line of another kind, and one that comes alone again, at once and without a count", () => {
  const { log, said } = logging();
  log.take(refused(24));
  log.take("*** Uncaught exception ***");
  vi.advanceTimersByTime(COUNTED_MS);
  log.take(refused(24));
  log.end();
  const lines = [refused(24), "*** Uncaught exception ***", refused(24)];
  expect(said().map(({ line }) => line)).toEqual(lines);
  expect(said().filter(({ repeated }) => repeated !== undefined)).toEqual([]);
});

it("counts so many kinds at a time, and loses none of the counts", () => {
  const { log, said } = logging();
  // No line differs from another in a number alone.
  const kinds = Array.from({ length: MOST_KINDS + 1 }, (_, n) =>
    "x".repeat(n + 1).replaceAll("xxxxxx", "y-"),
  );
  log.take(kinds[0] ?? "");
  for (const kind of kinds) log.take(kind);
  expect(said()).toHaveLength(kinds.length + 1);
  expect(said().at(-2)).toMatchObject({ line: "x", repeated: 1 });
});

it("passes each of the Worker's own lines on, however often it comes", () => {
  const { log, lines } = logging();
  const line = '{"time":"2026-11-22T20:50:30.288Z","level":"warn","event":"reader.cut"}';
  for (let n = 0; n < 100; n++) log.take(line);
  expect(lines).toEqual(Array.from({ length: 100 }, () => line));
});
