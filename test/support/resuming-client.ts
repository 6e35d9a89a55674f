/**
 * A client that can be cut at any byte and comes back with the last id that it
 * saw, as EventSource does: a frame that was not received whole counts for nothing.
 */
import { createParser } from "eventsource-parser";
import { lastEventIdIn } from "./sse-reader.ts";

const FRAME_WITH_ID = /^id: .*\n(?:.+\n)*\n/m;

export type Connect = (lastEventId: string | undefined) => Promise<Response>;

export class ResumingClient {
  readonly #connect: Connect;
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  #pump: Promise<void> = Promise.resolve();
  #text = "";
  #lastEventId: string | undefined;
  #isOver = true;
  /** Called when something has arrived, and when the connection has ended. */
  readonly #watchers = new Set<() => void>();
  /** The data of each event received, in order; "gap" and "ended" for those frames. */
  readonly received: string[] = [];

  constructor(connect: Connect) {
    this.#connect = connect;
  }

  get connected(): boolean {
    return this.#reader !== undefined;
  }

  async connect(): Promise<void> {
    const { status, body } = await this.#connect(this.#lastEventId);
    if (status !== 200 || !body) throw new Error(`following answered ${status}`);
    const reader = body.getReader();
    this.#reader = reader;
    this.#text = "";
    this.#isOver = false;
    this.#pump = this.#read(reader);
  }

  async #read(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    const decoder = new TextDecoder();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        this.#text += decoder.decode(value, { stream: true });
        for (const look of this.#watchers) look();
      }
    } catch {
      // The connection broke, which is what these clients are for.
    } finally {
      this.#isOver = true;
      for (const look of this.#watchers) look();
    }
  }

  /** All that has arrived on the present connection, or on the last one. */
  get arrived(): string {
    return this.#text;
  }

  /** Whether this text arrives on the present connection: true once it has, false once that has ended without it. */
  arrives(text: string): Promise<boolean> {
    return new Promise((resolve) => {
      const look = () => {
        const has = this.#text.includes(text);
        if (!has && !this.#isOver) return;
        this.#watchers.delete(look);
        resolve(has);
      };
      this.#watchers.add(look);
      look();
    });
  }

  /** Whether an id to come back with has arrived, now or on a connection before. */
  get named(): boolean {
    return this.#lastEventId !== undefined || lastEventIdIn(this.#text) !== undefined;
  }

  /**
   * Cuts the connection, as if only this share (0 to 1) of what came had arrived; "named" is
   * not before the end of the frame that brought its first id.
   */
  async cut(share: number, least?: "named"): Promise<void> {
    if (!this.#reader) return;
    const named = least && FRAME_WITH_ID.exec(this.#text);
    const kept = named ? named.index + named[0].length : 0;
    const arrived = this.#text.slice(0, Math.max(kept, Math.round(this.#text.length * share)));
    await this.#reader.cancel().catch(() => {});
    await this.#pump;
    this.#settle(arrived);
  }

  /** Waits until the connection ends by itself, and keeps all that arrived. */
  async ended(): Promise<void> {
    await this.#pump;
    this.#settle(this.#text);
  }

  #settle(arrived: string): void {
    this.#reader = undefined;
    const parser = createParser({
      onEvent: ({ event, data }) =>
        void this.received.push(event === "gap" || event === "ended" ? event : data),
    });
    parser.feed(arrived.slice(0, arrived.lastIndexOf("\n\n") + 2));
    this.#lastEventId = lastEventIdIn(arrived) ?? this.#lastEventId;
  }
}
