/** The contract of every session, and the library's session classes except `SSESession`. */
import { DEFAULT_SESSION_TYPE, type SessionType } from "../../core/content.ts";
import { InvalidSessionIdError, InvalidSessionTypeError } from "../../core/errors.ts";
import { parseSessionId, requireSessionId, type SessionId } from "../../core/id.ts";
import { parseJson } from "../../wire/json.ts";
import {
  parseTimestamp,
  systemClock,
  timestampFromMs,
  type Clock,
  type Timestamp,
} from "./time.ts";

/** A new random id: a version 4 UUID from the platform's secure generator. */
export function newSessionId(): SessionId {
  return requireSessionId(crypto.randomUUID());
}

/**
 * The id under which a session is stored. A UUID in any accepted form becomes the canonical one, so
 * that one UUID is one session. Other ids stay as they are, as in ToolHive's storages; only its
 * manager insists on UUIDs. Throws `InvalidSessionIdError` if the id is empty.
 */
export function storedId(id: string): string {
  if (typeof id === "string" && id !== "") return parseSessionId(id) ?? id;
  throw new InvalidSessionIdError("A session id must not be empty.");
}

/** ToolHive's `Session`. The library has three classes of it; a storage takes anything of this shape. */
export interface Session {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: Date;
  /** Last change of content, or `touch`. Loading a session is use, and never changes it. */
  readonly updatedAt: Date;
  /** Sets `updatedAt` to now. */
  touch(): void;
  /** The session's own data: any JSON, or undefined if it has none. */
  getData(): unknown;
  /** Undefined removes the data; null is a JSON value like any other. */
  setData(data: unknown): void;
  /** All metadata, as a copy: changing it does not change the session. */
  getMetadata(): Record<string, string>;
  getMetadataValue(key: string): string | undefined;
  setMetadata(key: string, value: string): void;

  /** `createdAt` as RFC 3339, with the nanoseconds of the record that it was read from. */
  readonly createdAtText?: string;
  /** `updatedAt` likewise. */
  readonly updatedAtText?: string;
  /** The data as JSON text, with the record's own key order and number text. */
  getDataJson?(): string | undefined;
  /** Frees what the session holds, such as its stream. A store calls it when it evicts or deletes it. */
  close?(): void | Promise<void>;
}

/** The part of a session that survives a round trip through a store. */
export interface SessionRecord {
  readonly id: string;
  readonly type: SessionType;
  readonly createdAt: Timestamp;
  readonly updatedAt: Timestamp;
  /** Any JSON, as text. Absent: the session has no data. */
  readonly dataJson?: string;
  readonly metadata: Readonly<Record<string, string>>;
}

/** The record of any session. Throws a TypeError if its data is not JSON, or the text of a time is not RFC 3339. */
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
  if (json === undefined || parseJson(json) !== undefined) return json;
  throw new TypeError("a session's data as text must be JSON");
}

/** The JSON of a session's data. Throws a TypeError if the value has none. */
function dataToJson(data: unknown): string | undefined {
  if (data === undefined) return undefined;
  const json: unknown = JSON.stringify(data);
  if (typeof json !== "string") throw new TypeError(`session data cannot be a ${typeof data}`);
  return json;
}

export interface SessionOptions {
  /** Default: the system's clock. */
  readonly clock?: Pick<Clock, "now">;
  /** A stored record to start from, as a storage adapter reads it. Its id and type stay as they are. */
  readonly record?: SessionRecord;
}

/** A session's data: a value that the user set, or the JSON of a record. */
type Held = { readonly value: unknown } | { readonly json: string };

/**
 * A plain session (ToolHive's `ProxySession`; with a type, its `NewTypedProxySession`). It keeps
 * a type that the library does not know. A change of content moves `updatedAt`; in ToolHive only
 * an explicit `Touch` does, and nothing there calls it.
 *
 * @example
 * const session = new ProxySession(newSessionId());
 * session.setMetadata("user", "ada");
 * session.setData({ cart: [1, 2] });
 * await storage.store(session);
 */
export class ProxySession implements Session {
  readonly id: string;
  readonly type: SessionType;
  readonly #clock: Pick<Clock, "now">;
  readonly #created: Timestamp;
  #updated: Timestamp;
  #data: Held | undefined;
  readonly #metadata: Map<string, string>;

  /** Throws `InvalidSessionIdError` if the id is empty, `InvalidSessionTypeError` if the type is. */
  constructor(id: string, type: SessionType = DEFAULT_SESSION_TYPE, options: SessionOptions = {}) {
    const { clock = systemClock, record } = options;
    this.#clock = clock;
    if (record) {
      this.id = record.id;
      this.type = record.type;
      this.#created = record.createdAt;
      this.#updated = record.updatedAt;
      if (record.dataJson !== undefined) this.#data = { json: record.dataJson };
      this.#metadata = new Map(Object.entries(record.metadata));
      return;
    }
    this.id = storedId(id);
    if (typeof type !== "string" || type === "")
      throw new InvalidSessionTypeError("A session type must not be empty.");
    this.type = type;
    this.#created = timestampFromMs(clock.now());
    this.#updated = this.#created;
    this.#metadata = new Map();
  }

  get createdAt(): Date {
    return new Date(this.#created.ms);
  }

  get updatedAt(): Date {
    return new Date(this.#updated.ms);
  }

  get createdAtText(): string {
    return this.#created.text;
  }

  get updatedAtText(): string {
    return this.#updated.text;
  }

  touch(): void {
    this.#updated = timestampFromMs(this.#clock.now());
  }

  /**
   * The value that `setData` got. A loaded session parses its JSON on each call: to change the
   * data, set them again. Numbers past 2^53 lose digits here, and keep them in `getDataJson`.
   */
  getData(): unknown {
    if (!this.#data) return undefined;
    return "json" in this.#data ? JSON.parse(this.#data.json) : this.#data.value;
  }

  getDataJson(): string | undefined {
    if (!this.#data) return undefined;
    return "json" in this.#data ? this.#data.json : dataToJson(this.#data.value);
  }

  setData(data: unknown): void {
    this.#data = data === undefined ? undefined : { value: data };
    this.touch();
  }

  getMetadata(): Record<string, string> {
    // fromEntries defines each property, where assignment would run the __proto__ setter.
    return Object.fromEntries(this.#metadata);
  }

  getMetadataValue(key: string): string | undefined {
    return this.#metadata.get(wellFormed(key));
  }

  /** Throws a TypeError if the key or the value is not a string. */
  setMetadata(key: string, value: string): void {
    this.#metadata.set(wellFormed(key), wellFormed(value));
    this.touch();
  }

  deleteMetadata(key: string): void {
    if (this.#metadata.delete(wellFormed(key))) this.touch();
  }
}

/** Replaces half a surrogate pair, which has no UTF-8: a store would return another text. */
function wellFormed(text: string): string {
  if (typeof text !== "string") throw new TypeError("session metadata must be strings");
  return text.toWellFormed();
}

/**
 * A session of Streamable HTTP (ToolHive's `StreamableSession`). It has no data; `setData` does
 * nothing.
 *
 * @example
 * const session = new StreamableSession(newSessionId());
 * session.isConnected; // true
 * session.disconnect(); // the storage keeps the session
 */
export class StreamableSession extends ProxySession {
  #connected = true;

  constructor(id: string, options: SessionOptions = {}) {
    super(id, "streamable", options);
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  override getData(): undefined {
    return undefined;
  }

  override getDataJson(): undefined {
    return undefined;
  }

  override setData(_data: unknown): void {}

  /** Marks the session as disconnected. Repeating it does nothing. */
  disconnect(): void {
    this.#connected = false;
  }

  close(): void {
    this.disconnect();
  }
}
