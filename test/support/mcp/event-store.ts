import type { EventStore, JSONRPCMessage } from "@modelcontextprotocol/server";

/** Keeps what was sent, so that a stream that the server closes itself can be resumed. */
export class MemoryEventStore implements EventStore {
  readonly #events: { id: string; stream: string; message: JSONRPCMessage }[] = [];

  async storeEvent(stream: string, message: JSONRPCMessage): Promise<string> {
    const id = `upstream-event-${this.#events.length + 1}`;
    this.#events.push({ id, stream, message });
    return id;
  }

  async getStreamIdForEventId(id: string): Promise<string | undefined> {
    return this.#events.find((event) => event.id === id)?.stream;
  }

  async replayEventsAfter(
    lastEventId: string,
    { send }: { send: (id: string, message: JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const at = this.#events.findIndex((event) => event.id === lastEventId);
    const stream = this.#events[at]?.stream ?? "";
    for (const event of this.#events.slice(at + 1)) {
      // A priming event is stored as a message that says nothing.
      if (event.stream === stream && "jsonrpc" in event.message)
        await send(event.id, event.message);
    }
    return stream;
  }
}
