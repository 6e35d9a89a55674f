import { ProxySession, type SessionOptions } from "./proxy-session.ts";

/**
 * A session of Streamable HTTP (ToolHive's `StreamableSession`). Its type is
 * fixed; it has no data, and setting some does nothing.
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
