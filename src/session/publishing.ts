/**
 * What a session is published to: checks, stores and sends. Publishes that come close
 * together share a commit and one message to each writer, and each is still
 * answered, refused or failed by itself.
 */
import type { Caller } from "../core/caller.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import type { NewEvent, Published } from "../core/host.ts";
import { MAX_HOLD_MS, MAX_SHARED_LOG, WRITERS_PER_HELD_MS } from "../core/limits.ts";
import { refuse, succeed, type Outcome } from "../core/errors.ts";
import {
  sized,
  type EventLogLimits,
  type LoggedEvent,
  type SizedEvent,
} from "../stream/event-log.ts";
import type { Lifecycle } from "./lifecycle.ts";
import type { NativeStream } from "../stream/channel.ts";
import { SharedCommit } from "../group-commit.ts";

export interface PublishingParts {
  readonly storage: DurableObjectStorage;
  readonly life: Lifecycle;
  readonly stream: NativeStream;
  readonly limits: EventLogLimits & {
    readonly eventMaxBytes: number;
    readonly queueCapacity: number;
  };
}

interface Publish {
  readonly caller: Caller;
  readonly events: readonly SizedEvent[];
}

/** A publish that has been stored, and is to be sent. */
interface Stored {
  readonly ids: readonly string[];
  readonly logged: readonly LoggedEvent[];
}

export class Publishing {
  readonly #parts: PublishingParts;
  readonly #commit: SharedCommit<Publish, Outcome<Published>>;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.#commit = new SharedCommit({
      work: (publishes) => this.#publishAll(publishes),
      weigh: (publish) => this.#shareOfLog(publish) / MAX_SHARED_LOG,
      untilCommitted: () => parts.storage.sync(),
      hold: () => this.#hold(),
    });
  }

  /** Stores events, all or none, and sends them. */
  async publish(caller: Caller, published: readonly NewEvent[]): Promise<Outcome<Published>> {
    const { life, limits } = this.#parts;
    // Looked at before anything waits, so that a stranger holds up nobody, and learns nothing from waiting.
    if (!life.owned(caller, Date.now())) return refuse("session_not_found");
    const events = published.map(sized);
    const tooLarge = events.findIndex(({ bytes }) => bytes > limits.eventMaxBytes);
    if (tooLarge >= 0) {
      const where = events.length > 1 ? `event ${tooLarge}` : "the event";
      const detail = `${where} is over EVENT_MAX_BYTES (${limits.eventMaxBytes})`;
      return refuse("payload_too_large", detail);
    }
    return this.#commit.do({ caller, events });
  }

  #publishAll(publishes: readonly Publish[]): PromiseSettledResult<Outcome<Published>>[] {
    const { life, stream } = this.#parts;
    const now = Date.now();
    const stored = publishes.map((publish) => settle(() => this.#store(publish, now)));
    const events = stored.flatMap((one) =>
      one.status === "fulfilled" && one.value.ok ? one.value.value.logged : [],
    );
    // Asked for anew: a store that failed has made the log forget what it had counted.
    const log = life.load(now)?.log;
    const writers = log ? stream.send(log, events) : 0;
    return stored.map((one) => {
      if (one.status === "rejected") return one;
      const outcome = one.value;
      return fulfilled(outcome.ok ? succeed({ ids: outcome.value.ids, writers }) : outcome);
    });
  }

  #store({ caller, events }: Publish, now: number): Outcome<Stored> {
    const { life, limits, storage, stream } = this.#parts;
    const session = life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    if (stream.writers === 0) {
      if (session.channel.disconnected) return refuse("session_disconnected");
      if (!session.log.queueHasRoomFor(events, limits.queueCapacity))
        return refuse("message_channel_full");
    }
    session.use.touch(now, session.record.ttlMs);
    try {
      // One transaction: a row that cannot be stored takes the others back with it.
      const logged = storage.transactionSync(() => stream.store(session.log, events));
      const ids = logged.map(({ seq }) => session.log.idOf(seq, NATIVE_STREAM));
      return succeed({ ids, logged });
    } catch (failure) {
      // The log in memory has counted what was not stored, so it is read anew.
      life.forget();
      throw failure;
    }
  }

  #shareOfLog({ events }: Publish): number {
    const { logMaxBytes, logMaxEvents } = this.#parts.limits;
    const bytes = events.reduce((sum, event) => sum + event.bytes, 0);
    return Math.max(bytes / logMaxBytes, events.length / logMaxEvents);
  }

  /** A message to a writer costs the same whatever it holds, so the more writers, the longer it is worth to wait. */
  async #hold(): Promise<void> {
    const ms = Math.min(Math.ceil(this.#parts.stream.writers / WRITERS_PER_HELD_MS), MAX_HOLD_MS);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  }
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
