/**
 * A log and its subscribers. The events of `/v1` are one channel and the gateway's messages
 * another, each in its own table (`event-channel.ts`, `gateway/object/streams.ts`).
 */
import { concat } from "../wire/bytes.ts";
import { CLOSE_CODES } from "./protocol.ts";
import {
  EventLog,
  type EventLogLimits,
  type LoggedEvent,
  type LogPage,
  type LogTable,
} from "./event-log.ts";
import type { Subscribers } from "./subscribers.ts";

export interface ChannelParts {
  readonly storage: DurableObjectStorage;
  readonly subscribers: Subscribers;
  readonly limits: EventLogLimits;
}

const encoder = new TextEncoder();

export abstract class Channel {
  protected readonly storage: DurableObjectStorage;
  protected readonly subscribers: Subscribers;
  readonly #limits: EventLogLimits;
  readonly #table: LogTable;
  readonly #epoch: string;
  #log: EventLog | undefined;

  /** `epoch` names the session: another epoch is another session. */
  constructor(parts: ChannelParts, table: LogTable, epoch: string) {
    this.storage = parts.storage;
    this.subscribers = parts.subscribers;
    this.#limits = parts.limits;
    this.#table = table;
    this.#epoch = epoch;
  }

  /** Opened when it is first needed, so that most calls read no row of it. */
  protected get log(): EventLog {
    return (this.#log ??= new EventLog(this.storage, this.#table, this.#limits, this.#epoch));
  }

  /** Takes a socket as a subscriber that is behind at `seq` of its stream, and sends it the preamble. */
  protected subscribe(socket: WebSocket, stream: number, seq: number, preamble: string): void {
    this.subscribers.attach(socket, stream, seq);
    this.subscribers.send(socket, encoder.encode(preamble));
  }

  /** Sends the newest events of the log to the live subscribers of a stream. The others get them with their pages. */
  send(stream: number, logged: readonly LoggedEvent[]): void {
    const [first] = logged;
    if (!first) return;
    const frames = logged.map(({ frame }) => frame);
    const bytes = frames.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (frames.length === 1 || bytes <= this.log.pageBytes) {
      this.subscribers.broadcast(stream, concat(frames));
      return;
    }
    // A burst larger than a page would pass the bridge's bound before even a fast reader could take it.
    for (const socket of this.subscribers.startReplay(stream, first.seq - 1)) {
      try {
        this.sendPage(socket);
      } catch {
        // The events are stored, so the publish must not fail: the reader is cut, and comes back for them.
        this.subscribers.close(socket, CLOSE_CODES.unreadable);
      }
    }
  }

  /** Sends the next page to a subscriber that is behind, and returns it. */
  sendPage(socket: WebSocket): LogPage | undefined {
    const state = this.subscribers.state(socket);
    if (state?.replayingFrom === undefined) return undefined;
    const page = this.log.page(state.stream, state.replayingFrom);
    this.subscribers.sendPage(socket, page);
    return page;
  }
}
