import { systemClock, type Clock } from "./clock.ts";
import { InvalidSessionIdError, InvalidSessionTypeError } from "../../core/errors.ts";
import { parseSessionId } from "../../core/id.ts";
import { dataToJson, type Session, type SessionRecord } from "./session.ts";
import { timestampFromMs, type Timestamp } from "./timestamp.ts";
import { DEFAULT_SESSION_TYPE, type SessionType } from "../../core/type.ts";

export interface SessionOptions {
  /** The system's clock unless given. */
  readonly clock?: Pick<Clock, "now">;
  /** A stored record to start from, as a storage adapter reads it. Its id and type are kept as they are. */
  readonly record?: SessionRecord;
}

/** Data is held as it was given: a value that the user set, or the JSON that a record held. */
type Held =
  | { readonly kind: "none" }
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "json"; readonly json: string };

/**
 * A plain session (ToolHive's `ProxySession`; with a type, its
 * `NewTypedProxySession`). A type that the library does not know is kept.
 *
 * Changing content moves `updatedAt`, which in ToolHive only an explicit `Touch`
 * does, and nothing there calls it.
 */
export class ProxySession implements Session {
  readonly id: string;
  readonly type: SessionType;
  readonly #clock: Pick<Clock, "now">;
  readonly #created: Timestamp;
  #updated: Timestamp;
  #data: Held = { kind: "none" };
  readonly #metadata: Map<string, string>;

  /**
   * A UUID in any accepted form is kept in its canonical one. Throws
   * `InvalidSessionIdError` where the id is empty, and `InvalidSessionTypeError`
   * where the type is.
   */
  constructor(id: string, type: SessionType = DEFAULT_SESSION_TYPE, options: SessionOptions = {}) {
    const { clock = systemClock, record } = options;
    this.#clock = clock;
    if (record) {
      this.id = record.id;
      this.type = record.type;
      this.#created = record.createdAt;
      this.#updated = record.updatedAt;
      if (record.dataJson !== undefined) this.#data = { kind: "json", json: record.dataJson };
      this.#metadata = new Map(Object.entries(record.metadata));
      return;
    }
    if (typeof id !== "string" || id === "")
      throw new InvalidSessionIdError("A session id must not be empty.");
    if (typeof type !== "string" || type === "")
      throw new InvalidSessionTypeError("A session type must not be empty.");
    this.id = parseSessionId(id) ?? id;
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
   * What `setData` was given. Of a session that was loaded, the JSON parsed anew
   * on each call: to change it, set it again. Numbers past 2^53 lose digits here,
   * and keep them in `getDataJson`.
   */
  getData(): unknown {
    switch (this.#data.kind) {
      case "none":
        return undefined;
      case "value":
        return this.#data.value;
      case "json":
        return JSON.parse(this.#data.json);
    }
  }

  getDataJson(): string | undefined {
    switch (this.#data.kind) {
      case "none":
        return undefined;
      case "value":
        return dataToJson(this.#data.value);
      case "json":
        return this.#data.json;
    }
  }

  setData(data: unknown): void {
    this.#data = data === undefined ? { kind: "none" } : { kind: "value", value: data };
    this.touch();
  }

  getMetadata(): Record<string, string> {
    // fromEntries defines each property, where assignment would run the __proto__ setter.
    return Object.fromEntries(this.#metadata);
  }

  getMetadataValue(key: string): string | undefined {
    return this.#metadata.get(wellFormed(key));
  }

  /** Throws a TypeError where the key or the value is not a string. */
  setMetadata(key: string, value: string): void {
    this.#metadata.set(wellFormed(key), wellFormed(value));
    this.touch();
  }

  deleteMetadata(key: string): void {
    if (this.#metadata.delete(wellFormed(key))) this.touch();
  }
}

/** Half a surrogate pair has no UTF-8, so it would come back from a store as something else. */
function wellFormed(text: string): string {
  if (typeof text !== "string") throw new TypeError("session metadata must be strings");
  return text.toWellFormed();
}
