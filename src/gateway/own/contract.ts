/**
 * A server of one's own: an `McpServer` of the SDK that runs in the session's object. The types describe
 * the part of the SDK that is used, of both its versions, so the package depends on neither.
 */
import type { NewEvent, Published, PublishedMany } from "../../core/api.ts";

/** The SDK's transport, as far as a server uses it. */
export interface ServerTransport {
  readonly sessionId?: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: object) => void;
  start(): Promise<void>;
  send(message: object, options?: SendOptions): Promise<void>;
  close(): Promise<void>;
}

export interface SendOptions {
  /** The request that the message belongs to. */
  readonly relatedRequestId?: string | number | undefined;
}

/** `McpServer`, or `Server`, of `@modelcontextprotocol/server` or of `@modelcontextprotocol/sdk`. */
export interface ConnectableServer {
  connect(transport: ServerTransport): Promise<void>;
  close(): Promise<void>;
}

/**
 * Values that a server stores with its session. Each method acts at once. A stored value is durable before
 * any later message of the server leaves the object. Each throws an Error once the session has ended.
 */
export interface ServerState {
  /** The value as JSON holds it; undefined if there is none. */
  get<T = unknown>(key: string): T | undefined;
  /**
   * Stores a value that JSON can hold. Throws a RangeError, and stores nothing, where all keys and values
   * together would have more than 256 KiB, or there would be more than 4,096 keys.
   */
  put(key: string, value: unknown): void;
  /** Returns whether there was one. */
  delete(key: string): boolean;
  /** All values, by their keys in the order of code units; those whose key begins with `prefix`. */
  list<T = unknown>(options?: { readonly prefix?: string | undefined }): Map<string, T>;
}

export interface ServerPublishOptions {
  /** 1 to 255 visible ASCII characters. The same key and events again append nothing. */
  readonly idempotencyKey?: string | undefined;
}

/** The session, as the server in its object sees it. */
export interface ServerSession {
  readonly id: string;
  /** The owner; undefined: nobody owns it. */
  readonly subject: string | undefined;
  /** The session's metadata at this moment. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly state: ServerState;
  /**
   * Publishes to the session's own stream, `/v1/sessions/{id}/events`. Resolves once the event is durable.
   * Rejects with a SessionError, also while the server answers the `initialize` that makes the session.
   */
  publish(event: NewEvent, options?: ServerPublishOptions): Promise<Published>;
  publish(events: readonly NewEvent[], options?: ServerPublishOptions): Promise<PublishedMany>;
  /**
   * Wakes the object at a time (a Date, or milliseconds since the epoch), and calls the handler of `onWake`
   * then. Times add up, at most 100 of them; they outlive the object's memory, and do not keep the session alive.
   * Throws a TypeError if there is no handler, and a RangeError for a time that is none, or one too many.
   */
  wake(at: Date | number): void;
  /**
   * Sets the handler of `wake`. It gets the time that `wake` was given, in milliseconds. It is called again
   * for the same time only if the object is lost while it runs.
   */
  onWake(handler: (at: number) => unknown): void;
}
