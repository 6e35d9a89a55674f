/**
 * What a session is published to: checks, stores and sends. Publishes that come close
 * together share a commit and one message to each writer, and each is still
 * answered, refused or failed by itself.
 */
import type { Caller } from "../session/caller.ts";
import { NATIVE_STREAM } from "../session/event-id.ts";
import type { NewEvent, Published } from "../session/host.ts";
import { MAX_HOLD_MS, WRITERS_PER_HELD_MS } from "../session/limits.ts";
import { refuse, succeed, type Outcome } from "../session/outcome.ts";
import { sized, type EventLog, type LoggedEvent } from "./event-log.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { NativeStream } from "./native-stream.ts";
import { SharedCommit } from "./shared-commit.ts";

export interface PublishingParts {
  readonly storage: DurableObjectStorage;
  readonly life: Lifecycle;
  readonly stream: NativeStream;
  readonly limits: { readonly eventMaxBytes: number; readonly queueCapacity: number };
}

interface Publish {
  readonly caller: Caller;
  readonly events: readonly NewEvent[];
}

/** A publish that has been stored, and is to be sent. */
interface Stored {
  readonly log: EventLog;
  readonly logged: readonly LoggedEvent[];
}

export class Publishing {
  readonly #parts: PublishingParts;
  readonly #commit: SharedCommit<Publish, Outcome<Published>>;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.#commit = new SharedCommit({
      work: (publishes) => this.#publishAll(publishes),
      committed: () => parts.storage.sync(),
      held: () => this.#held(),
    });
  }

  /** Stores events, all or none, and sends them. */
  publish(caller: Caller, events: readonly NewEvent[]): Promise<Outcome<Published>> {
    return this.#commit.do({ caller, events });
  }

  #publishAll(publishes: readonly Publish[]): PromiseSettledResult<Outcome<Published>>[] {
    const now = Date.now();
    const outcomes = publishes.map((publish) => settle(() => this.#store(publish, now)));
    const stored = outcomes.flatMap((one) =>
      one.status === "fulfilled" && one.value.ok ? [one.value.value] : [],
    );
    // One that failed may have had the log read anew, so the last one's knows all rows.
    const log = stored.at(-1)?.log;
    const events = stored.flatMap(({ logged }) => logged);
    const writers = log ? this.#parts.stream.send(log, events) : 0;
    return outcomes.map((one) => {
      if (one.status === "rejected") return one;
      const { value } = one;
      return fulfilled(value.ok ? succeed({ ids: idsOf(value.value), writers }) : value);
    });
  }

  #store({ caller, events: published }: Publish, now: number): Outcome<Stored> {
    const { life, limits, storage, stream } = this.#parts;
    const session = life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    const events = published.map(sized);
    const tooLarge = events.findIndex(({ bytes }) => bytes > limits.eventMaxBytes);
    if (tooLarge >= 0) {
      const where = events.length > 1 ? `event ${tooLarge}` : "the event";
      const detail = `${where} is over EVENT_MAX_BYTES (${limits.eventMaxBytes})`;
      return refuse("payload_too_large", detail);
    }
    if (stream.writers === 0) {
      if (session.channel.disconnected) return refuse("session_disconnected");
      if (!session.log.queueHasRoomFor(events, limits.queueCapacity))
        return refuse("message_channel_full");
    }
    session.use.touch(now, session.record.ttlMs);
    try {
      // One transaction: a row that cannot be stored takes the others back with it.
      const logged = storage.transactionSync(() => stream.store(session.log, events));
      return succeed({ log: session.log, logged });
    } catch (failure) {
      // The log in memory has counted what was not stored, so it is read anew.
      life.forget();
      throw failure;
    }
  }

  /** A message to a writer costs the same whatever it holds, so the more writers, the longer it is worth to wait. */
  async #held(): Promise<void> {
    const ms = Math.min(this.#parts.stream.writers / WRITERS_PER_HELD_MS, MAX_HOLD_MS);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, Math.ceil(ms)));
  }
}

function idsOf({ log, logged }: Stored): string[] {
  return logged.map(({ seq }) => log.idOf(seq, NATIVE_STREAM));
}

function fulfilled<T>(value: T): PromiseFulfilledResult<T> {
  return { status: "fulfilled", value };
}

function settle<T>(work: () => T): PromiseSettledResult<T> {
  try {
    return fulfilled(work());
  } catch (reason) {
    return { status: "rejected", reason };
  }
}
