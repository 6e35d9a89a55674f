import { expect, it } from "vitest";
import { passOn } from "../../../scripts/log-line.ts";

function told(line: string): unknown[] {
  const lines: string[] = [];
  passOn(line, (one) => lines.push(one));
  return lines.map((one) => JSON.parse(one) as unknown);
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
  const lines: string[] = [];
  passOn(`x\u2028\u0085${"y".repeat(1000)}`, (one) => lines.push(one));
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
