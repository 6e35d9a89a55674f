/** The lines that the service logs, with the values that the fields of each may have. */
import { ERROR_KINDS } from "../../src/core/errors.ts";

export const UUID = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}";
const WHOLE_ID = new RegExp(`^${UUID}$`);
const SHORT_ID = /^[0-9a-f]{8}…$/;
const COUNT = /^\d+$/;
const CODE = new RegExp(`^(${Object.keys(ERROR_KINDS).join("|")})$`);
/** A failure's kind and message. The patterns of secrets limit the message's text. */
const CAUSE = /^\w*(Error|Exception)(: [^\n]{0,300})?$/;

/** An upstream's name in the configuration, and what the gateway says of its failing: never its address. */
const UPSTREAM = /^[a-z0-9][a-z0-9_-]{0,62}$/;
const FAILURE =
  /^(The (upstream|session's metadata) [a-zA-Z' ]+|upstream exchange was interrupted)$/;

const STATUS = /^[1-5]\d\d$/;
/** A method and the pattern of a route, which hold nothing of a client's. */
const ROUTE =
  /^(none|[A-Z]+ \/(v1\/sessions(\/count|\/:id(\/\w+)?)?|mcp|sse|messages|\.well-known\/[\w/*-]+|healthz|readyz|metrics|openapi\.json))$/;
const REASON = /^[a-z_]+$/;

/** The fields of each log line beside time, level and event. Declare a new line here, with the values that its fields may have. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, RegExp>>>> = {
  "object.start": { object: /^[0-9a-f]{64}$/, writers: COUNT },
  "object.alarm": { session: WHOLE_ID, verdict: /^(live|expire: \w+)$/ },
  "writer.attach": { session: WHOLE_ID, start: /^(queued|earliest|after)$/, writers: COUNT },
  "writer.leave": { session: WHOLE_ID, code: COUNT, writers: COUNT },
  "session.expired": { session: SHORT_ID },
  "session.deleted": { session: SHORT_ID },
  "reader.cut": { session: SHORT_ID, reason: /^(slow|stalled)$/ },
  "upstream.failed": {
    upstream: UPSTREAM,
    kind: /^[a-zA-Z]+$/,
    failure: FAILURE,
    status: COUNT,
    cause: CAUSE,
  },
  "upstream.stray_response": { upstream: UPSTREAM },
  "task.unmade": { cause: CAUSE },
  "task.unstored": { cause: CAUSE },
  "upstream.wake_failed": { upstream: UPSTREAM, cause: CAUSE },
  request: { route: ROUTE, status: STATUS, ms: COUNT, session: SHORT_ID },
  "request.refused": { status: /^(401|403|429)$/, reason: REASON, route: ROUTE, repeated: COUNT },
  "request.failed": { code: CODE, cause: CAUSE },
  "request.crashed": { cause: CAUSE },
  "service.not_ready": { check: /^(storage|directory|keys)$/, cause: CAUSE },
  "service.ready": {},
  "directory.untold": { untoldMs: COUNT, cause: CAUSE },
  "directory.handover_failed": { cause: CAUSE },
  "jwks.failed": { cause: CAUSE },
  "jurisdiction.absent": { jurisdiction: /^(eu|us|fedramp)$/ },
  "node.without_sqlite": { node: /^\d+\.\d+\.\d+$/ },
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
