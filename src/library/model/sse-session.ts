import { MessageChannelFullError, SessionDisconnectedError } from "../../core/errors.ts";
import { MessageQueue } from "./message-queue.ts";
import { ProxySession, type SessionOptions } from "./proxy-session.ts";

/** The one client of an `SSESession` (ToolHive's `SSEClient`). */
export interface SSEClient {
  /** Where the client reads from. */
  readonly messages: MessageQueue;
  /** When the client connected. */
  readonly createdAt: Date;
}

/**
 * A session with one client (ToolHive's `SSESession`; with a client, its
 * `NewSSESessionWithClient`). Messages wait in a queue of 100, and the client
 * reads them with `for await (const message of session.messages)`.
 *
 * Only the record is stored: a session that was loaded from a store other than
 * memory has a new, empty queue and no client.
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
   * Sets the client, and sends to its queue from now on. What nobody has read of the
   * queue before goes to the new one, as far as it has room, and whoever waits at the
   * old one gets its end. Undefined forgets the client and keeps the queue.
   */
  setClientInfo(client: SSEClient | undefined): void {
    this.#client = client;
    if (!client || client.messages === this.#messages) return;
    this.#messages.closeInto(client.messages);
    this.#messages = client.messages;
    // A reader of a session that has ended must not wait for what never comes.
    if (!this.#connected) this.#messages.close();
  }

  /** When the client connected; without one, when the session was created. */
  getCreatedAt(): Date {
    return this.#client ? new Date(this.#client.createdAt) : this.createdAt;
  }

  /**
   * Queues a message for the client. Throws `SessionDisconnectedError` after
   * `disconnect`, and `MessageChannelFullError` while 100 messages wait: an
   * accepted message is never dropped to make room for another.
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

  /** Ends the client's stream after what is queued. Repeating it does nothing. */
  disconnect(): void {
    this.#connected = false;
    this.#messages.close();
  }

  /** An evicted session must not leave its stream open, as ToolHive's does. */
  close(): void {
    this.disconnect();
  }
}
