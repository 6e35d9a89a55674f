/**
 * The contract of every session, and what a store keeps of one.
 */
import { parseTimestamp, timestampFromMs, type Timestamp } from "./timestamp.ts";
import type { SessionType } from "../../core/type.ts";

/**
 * ToolHive's `Session`. The library's own sessions are `ProxySession`,
 * `SSESession` and `StreamableSession`; anything of this shape can be stored.
 */
export interface Session {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: Date;
  /** Last change of content, or `touch`. Loading a session is use, and never changes it. */
  readonly updatedAt: Date;
  /** Sets `updatedAt` to now. */
  touch(): void;
  /** The session's own data: any JSON, or undefined where it has none. */
  getData(): unknown;
  /** Undefined removes the data; null is a JSON value like any other. */
  setData(data: unknown): void;
  /** All metadata, as a copy: changing it does not change the session. */
  getMetadata(): Record<string, string>;
  getMetadataValue(key: string): string | undefined;
  setMetadata(key: string, value: string): void;

  /** `createdAt` as RFC 3339, with the nanoseconds that a record was read with. */
  readonly createdAtText?: string;
  /** `updatedAt` as RFC 3339, with the nanoseconds that a record was read with. */
  readonly updatedAtText?: string;
  /** The data as JSON text, with the key order and number text that a record was read with. */
  getDataJson?(): string | undefined;
  /** Frees what the session holds, such as its stream. Called when a store evicts or deletes it. */
  close?(): void | Promise<void>;
}

/** What a store keeps of a session: all that survives a round trip. */
export interface SessionRecord {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  /** Any JSON, as text. Absent: the session has no data. */
  readonly dataJson?: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Takes the record of any session. Throws a TypeError where its data is not JSON or
 * the text of a time is none: what is written must be what can be read.
 */
export function recordOf(session: Session): SessionRecord {
  const dataJson = session.getDataJson
    ? requireJson(session.getDataJson())
    : dataToJson(session.getData());
  return {
    id: session.id,
    type: session.type,
    createdAt: timestamp(session.createdAt, session.createdAtText),
    updatedAt: timestamp(session.updatedAt, session.updatedAtText),
    ...(dataJson === undefined ? {} : { dataJson }),
    metadata: session.getMetadata(),
  };
}

function timestamp(date: Date, text: string | undefined): Timestamp {
  if (text === undefined) return timestampFromMs(date.getTime());
  const timestamp = parseTimestamp(text);
  if (!timestamp) throw new TypeError("a session's time as text must be RFC 3339");
  return timestamp;
}

function requireJson(json: string | undefined): string | undefined {
  if (json === undefined) return undefined;
  try {
    JSON.parse(json);
  } catch {
    // The parser's own message quotes the data.
    throw new TypeError("a session's data as text must be JSON");
  }
  return json;
}

/** The JSON of a session's data. Throws a TypeError where the value has none. */
export function dataToJson(data: unknown): string | undefined {
  if (data === undefined) return undefined;
  const json: unknown = JSON.stringify(data);
  if (typeof json !== "string") throw new TypeError(`session data cannot be a ${typeof data}`);
  return json;
}
