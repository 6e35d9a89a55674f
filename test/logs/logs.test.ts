/**
 * Checks every line that the service logged in the whole suite, over real HTTP and in workerd. It
 * runs after every other test; alone it has no lines, and fails. No line may hold a secret or
 * content, and every line has the shape that is declared here. The shapes also catch content that no
 * test has marked: no field can hold it.
 */
import { expect, it } from "vitest";
import { ERROR_KINDS } from "../../src/core/errors.ts";
import { CANARY } from "../support/canary.ts";
import { keptLines } from "../support/kept-logs.ts";

const lines = keptLines();
const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const WHOLE_ID = new RegExp(`^${UUID}$`);
const SHORT_ID = /^[0-9a-f]{8}…$/;
const COUNT = /^\d+$/;
const CODE = new RegExp(`^(${Object.keys(ERROR_KINDS).join("|")})$`);
/** A failure's kind and message. The patterns of secrets limit the message's text. */
const CAUSE = /^\w*(Error|Exception)(: [^\n]{0,300})?$/;

/** An upstream's name in the configuration, and what the gateway says of its failing: never its address. */
const UPSTREAM = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const FAILURE = /^The (upstream|session's metadata) [a-zA-Z' ]+$/;

/** The fields of each log line beside time, level and event. Declare a new line here, with the values that its fields may have. */
const SHAPES: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  "object.start": { object: /^[0-9a-f]{64}$/, writers: COUNT },
  "object.alarm": { session: WHOLE_ID, verdict: /^(live|expire: \w+)$/ },
  "writer.attach": { session: WHOLE_ID, start: /^(queued|earliest|after)$/, writers: COUNT },
  "writer.leave": { session: WHOLE_ID, code: COUNT, writers: COUNT },
  "session.expired": { session: SHORT_ID },
  "session.deleted": { session: SHORT_ID },
  "reader.cut": { session: SHORT_ID, reason: /^(slow|stalled)$/ },
  "upstream.failed": { upstream: UPSTREAM, failure: FAILURE, status: COUNT, cause: CAUSE },
  "upstream.stray_response": { upstream: UPSTREAM },
  "upstream.wake_failed": { upstream: UPSTREAM, cause: CAUSE },
  "task.unmade": { cause: CAUSE },
  "request.failed": { code: CODE, cause: CAUSE },
  "request.crashed": { cause: CAUSE },
  "directory.untold": { untoldMs: COUNT, cause: CAUSE },
  "directory.handover_failed": { cause: CAUSE },
  "jwks.failed": { cause: CAUSE },
  "rate-limit.failed": { cause: CAUSE },
  "workerd.ended": { how: /^(exit \d+|SIG[A-Z]+)$/, againInMs: COUNT },
  "workerd.started": {},
  "workerd.failed": { cause: CAUSE, againInMs: COUNT },
  "storage.damaged": { file: /^\w+\/(metadata|[0-9a-f]{64})\.sqlite$/, cause: CAUSE },
  "storage.failed": { file: /^(Session|Directory)Object\/[0-9a-f]{64}\.sqlite$/ },
  "storage.dropped": { file: /^SessionObject\/[0-9a-f]{64}\.sqlite$/ },
  "storage.mended": { file: /^\w+\/metadata\.sqlite$/, alarms: COUNT },
  "storage.swept": { files: COUNT },
  "storage.not_swept": { cause: CAUSE },
  "alarms.spread": { alarms: COUNT, overMs: COUNT },
  "alarms.not_spread": { cause: CAUSE },
  "disk.full": {},
  "disk.has_room": {},
  // workerd's own lines; scripts/log-line.ts makes JSON of them.
  workerd: { line: /^[^\n]{1,500}$/, repeated: COUNT },
};

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
