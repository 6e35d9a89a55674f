/**
 * ToolHive's stored records, byte for byte (`serialization.go` of its session package, and the
 * metadata map of its session data storage).
 *
 * The decoder is as lenient as Go's encoding/json: it ignores unknown members, matches names in
 * any case, and takes a missing time for Go's zero time. The encoder is exact: a record that was
 * read and not changed comes out with the same bytes.
 */
import type { SessionType } from "../../core/content.ts";
import { CorruptRecordError } from "../../core/errors.ts";
import { goRawJson, goString, goStringMap, membersOf } from "./go-json.ts";
import {
  ProxySession,
  recordOf,
  type Session,
  type SessionOptions,
  type SessionRecord,
  StreamableSession,
} from "./session.ts";
import { SSESession } from "./sse-session.ts";
import { ZERO_TIME, parseTimestamp, type Timestamp } from "./time.ts";

type Metadata = Readonly<Record<string, string>>;

/**
 * Writes a session as Go does. Throws a TypeError if its data is not JSON. A program that holds a
 * `SessionRecord` uses `encodeRecord`.
 *
 * @example
 * const json = encodeSession(session); // {"id":"8c2d…","type":"mcp","created_at":…}
 * const copy = decodeSession(json);
 */
export function encodeSession(session: Session): string {
  return encodeRecord(recordOf(session));
}

/**
 * Writes a record as Go does: `encodeSession` for a caller without a session object. The times
 * keep their nanoseconds, and the data its key order and digits.
 *
 * @example
 * const record = decodeRecord(json);
 * encodeRecord(record) === json; // true for every record that ToolHive wrote
 */
export function encodeRecord(record: SessionRecord): string {
  let json = `{"id":${goString(record.id)},"type":${goString(record.type)}`;
  json += `,"created_at":${goString(record.createdAt.text)}`;
  json += `,"updated_at":${goString(record.updatedAt.text)}`;
  if (record.dataJson !== undefined) json += `,"data":${goRawJson(record.dataJson)}`;
  if (Object.keys(record.metadata).length > 0)
    json += `,"metadata":${goStringMap(record.metadata)}`;
  return `${json}}`;
}

/**
 * Reads a session, as an object of its type's class. Throws `CorruptRecordError`, which calls the
 * record by `name` and never means absence.
 */
export function decodeSession(
  json: string,
  name = "session",
  options: SessionOptions = {},
): Session {
  return sessionOf(decodeRecord(json, name), options);
}

/**
 * The session of a record: of its type's class, or a plain one that keeps its unknown type.
 * `recordOf` is its inverse.
 *
 * @example
 * const session = sessionOf(decodeRecord(json));
 * session.setMetadata("user", "ada");
 * await redis.set(key, encodeRecord(recordOf(session)));
 */
export function sessionOf(record: SessionRecord, options: SessionOptions = {}): ProxySession {
  return typedSession(record.id, record.type, { ...options, record });
}

/** A new session of its type's class. */
export function typedSession(id: string, type: SessionType, options: SessionOptions): ProxySession {
  switch (type) {
    case "sse":
      return new SSESession(id, undefined, options);
    case "streamable":
      return new StreamableSession(id, options);
    default:
      return new ProxySession(id, type, options);
  }
}

/**
 * Reads a record: `decodeSession` for a caller that needs no session object. Throws
 * `CorruptRecordError`, which calls the record by `name`.
 */
export function decodeRecord(json: string, name = "session"): SessionRecord {
  if (kindOf(parse(json, name)) !== "an object")
    throw corrupt(name, "the record is not a JSON object");
  let id = "";
  let type = "";
  let createdAt = ZERO_TIME;
  let updatedAt = ZERO_TIME;
  let dataJson: string | undefined;
  let metadata: Metadata = {};
  for (const { key, json: value } of membersOf(json)) {
    const field = foldAscii(key);
    const isNull = value === "null";
    // Null is kept as data: Go's raw message holds it like any other value.
    if (field === "data") dataJson = value;
    // A repeated map is merged into the first, as Go does; null empties it.
    else if (field === "metadata")
      metadata = isNull ? {} : { ...metadata, ...decodeStringMap(value, name) };
    else if (isNull) continue;
    else if (field === "id") id = text(value, field, name);
    else if (field === "type") type = text(value, field, name);
    else if (field === "created_at") createdAt = time(value, field, name);
    else if (field === "updated_at") updatedAt = time(value, field, name);
  }
  return {
    id,
    type,
    createdAt,
    updatedAt,
    ...(dataJson === undefined ? {} : { dataJson }),
    metadata,
  };
}

/**
 * Writes a metadata map as Go does: `{}` is a placeholder.
 *
 * @example
 * encodeMetadata({ user: "ada" }); // {"user":"ada"}
 * decodeMetadata('{"user":"ada"}').user; // ada
 */
export function encodeMetadata(metadata: Metadata): string {
  return goStringMap(metadata);
}

/** Reads a metadata map; `null` gives an empty one. Throws `CorruptRecordError`, which calls the record by `name`. */
export function decodeMetadata(json: string, name = "session"): Record<string, string> {
  if (parse(json, name) === null) return {};
  return decodeStringMap(json, name);
}

/** Go folds names by Unicode's simple folding; of that, only ASCII reaches the names of a record. */
function foldAscii(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function decodeStringMap(json: string, name: string): Record<string, string> {
  const kind = kindOf(parse(json, name));
  if (kind !== "an object") throw corrupt(name, `metadata must be an object, not ${kind}`);
  return Object.fromEntries(
    membersOf(json).map((member) => {
      const key = member.key.toWellFormed();
      const value: unknown = JSON.parse(member.json);
      if (value === null) return [key, ""];
      if (typeof value === "string") return [key, value.toWellFormed()];
      const label = `metadata key ${JSON.stringify(key)}`;
      throw corrupt(name, `${label} must be a string, not ${kindOf(value)}`);
    }),
  );
}

function text(json: string, field: string, name: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value === "string") return value.toWellFormed();
  throw corrupt(name, `${field} must be a string, not ${kindOf(value)}`);
}

function time(json: string, field: string, name: string): Timestamp {
  const timestamp = parseTimestamp(text(json, field, name));
  if (!timestamp) throw corrupt(name, `${field} is not an RFC 3339 time`);
  return timestamp;
}

function parse(json: string, name: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    // The parser's own message quotes the record, which may hold secrets.
    throw corrupt(name, json === "" ? "the record is empty" : "the record is not valid JSON");
  }
}

function corrupt(name: string, problem: string): CorruptRecordError {
  return new CorruptRecordError(`${name}: ${problem}`);
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
