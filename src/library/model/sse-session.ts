/** The session with a client, and the bounded queue between the two. */
import { MessageChannelFullError, SessionDisconnectedError } from "../../core/errors.ts";
import { ProxySession, type SessionOptions } from "./session.ts";

/** Messages that a queue holds while nobody reads: ToolHive's channel size. */
export const MESSAGE_QUEUE_CAPACITY = 100;

type Waiting = (result: IteratorResult<string, undefined>) => void;

/**
 * A bounded queue of messages for one client: ToolHive's `MessageCh`. Like a Go channel, it
 * still gives out its messages once it is closed, and each message goes to one reader only.
 *
 * @example
 * const queue = new MessageQueue();
 * queue.push("hello");
 * queue.close();
 * for await (const message of queue) console.log(message); // hello
 */
export class MessageQueue implements AsyncIterable<string> {
  readonly capacity: number;
  readonly #held: string[] = [];
  readonly #waiting: Waiting[] = [];
  #closed = false;

  /** Throws a RangeError if `capacity` is not a whole number of at least 1. */
  constructor(capacity = MESSAGE_QUEUE_CAPACITY) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(
        `a queue's capacity must be a whole number of at least 1, not ${capacity}`,
      );
    }
    this.capacity = capacity;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Messages that nobody has read yet. */
  get size(): number {
    return this.#held.length;
  }

  /** Gives a message to a waiting reader, or keeps it. False if the queue is full or closed. */
  push(message: string): boolean {
    if (this.#closed) return false;
    const reader = this.#waiting.shift();
    if (reader) {
      reader({ done: false, value: message });
      return true;
    }
    if (this.#held.length >= this.capacity) return false;
    this.#held.push(message);
    return true;
  }

  /** Takes no more messages; readers get the queued ones, then the end. Repeating it does nothing. */
  close(): void {
    this.#closed = true;
    for (const reader of this.#waiting.splice(0)) reader({ done: true, value: undefined });
  }

  /** Closes this queue and moves its unread messages to another, in order. Messages that do not fit stay here. */
  closeInto(next: MessageQueue): void {
    const left = this.#held.findIndex((message) => !next.push(message));
    this.#held.splice(0, left < 0 ? this.#held.length : left);
    this.close();
  }

  /** The next message, or the end. */
  next(): Promise<IteratorResult<string, undefined>> {
    const value = this.#held.shift();
    if (value !== undefined) return Promise.resolve({ done: false, value });
    if (this.#closed) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** A loop that breaks off leaves the rest: a second loop goes on there. */
  [Symbol.asyncIterator](): AsyncIterator<string, undefined> {
    return { next: () => this.next() };
  }
}

/** The one client of an `SSESession` (ToolHive's `SSEClient`). */
export interface SSEClient {
  /** Where the client reads from. */
  readonly messages: MessageQueue;
  /** When the client connected. */
  readonly createdAt: Date;
}

/**
 * A session with one client (ToolHive's `SSESession`; with a client, its
 * `NewSSESessionWithClient`). Messages wait in a queue of 100. A store other than memory keeps
 * the record alone: a session loaded from it has an empty queue and no client.
 *
 * @example
 * session.sendMessage("hello");
 * session.disconnect();
 * for await (const message of session.messages) console.log(message); // hello
 */
export class SSESession extends ProxySession {
  #messages: MessageQueue;
  #client: SSEClient | undefined;
  #connected = true;

  constructor(id: string, client?: SSEClient, options: SessionOptions = {}) {
    super(id, "sse", options);
    this.#client = client;
    this.#messages = client?.messages ?? new MessageQueue();
  }

  /** ToolHive's `MessageCh`. */
  get messages(): MessageQueue {
    return this.#messages;
  }

  get isConnected(): boolean {
    return this.#connected;
  }

  getConnectionStatus(): boolean {
    return this.#connected;
  }

  getClientInfo(): SSEClient | undefined {
    return this.#client;
  }

  /**
   * Sets the client, and sends to its queue from now on. Unread messages of the old queue move
   * there as far as they fit, and the old queue ends. Undefined forgets the client and keeps the queue.
   */
  setClientInfo(client: SSEClient | undefined): void {
    this.#client = client;
    if (!client || client.messages === this.#messages) return;
    this.#messages.closeInto(client.messages);
    this.#messages = client.messages;
    // The session has ended: a reader of the new queue would wait for ever.
    if (!this.#connected) this.#messages.close();
  }

  /** The time when the client connected, or without a client that of the session's creation. */
  getCreatedAt(): Date {
    return this.#client ? new Date(this.#client.createdAt) : this.createdAt;
  }

  /**
   * Queues a message for the client. Throws `SessionDisconnectedError` after `disconnect`, and
   * `MessageChannelFullError` while 100 messages wait: no accepted message makes room for another.
   */
  sendMessage(message: string): void {
    if (!this.#connected || this.#messages.closed) {
      throw new SessionDisconnectedError("The session is disconnected.");
    }
    if (!this.#messages.push(message)) {
      throw new MessageChannelFullError(
        `The client has not read ${this.#messages.capacity} queued messages, and no more can be queued.`,
      );
    }
  }

  /** Ends the client's stream after the queued messages. Repeating it does nothing. */
  disconnect(): void {
    this.#connected = false;
    this.#messages.close();
  }

  /** An evicted session must not leave its stream open, as ToolHive's does. */
  close(): void {
    this.disconnect();
  }
}
