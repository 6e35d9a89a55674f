/**
 * Publishing to a session: checks, stores and sends. Publishes that come close together share a
 * commit and one message to each reader. Each of them is answered, refused or fails by itself.
 */
import type { Config } from "../config/service.ts";
import { requireKnownVersion, type Caller } from "../core/caller.ts";
import { NATIVE_STREAM } from "../core/event-id.ts";
import { SESSION_TYPE_TASK } from "../core/content.ts";
import type { NewEvent, Published, StreamEnd } from "../core/host.ts";
import { MAX_HOLD_MS, MAX_SHARED_LOG, WRITERS_PER_HELD_MS } from "../core/limits.ts";
import { refuse, succeed, unwrap, type Outcome } from "../core/errors.ts";
import type { PublishKey } from "../stream/published-keys.ts";
import { published } from "../signals/metrics.ts";
import {
  sized,
  type EventWithAside,
  type LoggedEvent,
  type SizedEvent,
} from "../stream/event-log.ts";
import type { Lifecycle, LiveSession } from "./lifecycle.ts";
import { publishKeyOf } from "./publish-key.ts";
import { overflowOf } from "./record-changes.ts";
import type { Subscribers } from "../stream/subscribers.ts";
import type { EventChannel } from "../stream/event-channel.ts";
import type { Waiters } from "../stream/waiters.ts";
import { GroupCommit } from "../group-commit.ts";
import { sleep } from "../wire/timers.ts";

interface PublishingParts {
  readonly storage: DurableObjectStorage;
  readonly life: Lifecycle;
  readonly subscribers: Subscribers;
  readonly waiters: Waiters;
  readonly limits: Config;
}

const OF_A_TASK = "Only the gateway publishes to the stream of a task.";

interface Publish {
  readonly caller: Caller;
  readonly events: readonly SizedEvent[];
  /** The stream ends after these events. */
  readonly ends: boolean;
  readonly key: PublishKey | undefined;
}

/** The events that a call has stored, or had stored before. */
interface Stored {
  readonly channel: EventChannel;
  readonly seqs: readonly number[];
  /** The events that no reader has been sent yet. */
  readonly logged: readonly LoggedEvent[];
  /** How many events of the call are new in the log. */
  readonly added: number;
  readonly replayed?: true;
}

export class Publishing {
  readonly #parts: PublishingParts;
  readonly #commit: GroupCommit<Publish, Outcome<Stored>, Outcome<Published>>;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.#commit = new GroupCommit({
      work: (publish) => this.#store(publish),
      finish: (outcomes) => this.#send(outcomes),
      weigh: (publish) => this.#shareOfLog(publish) / MAX_SHARED_LOG,
      pause: (publishes) => this.#pause(publishes),
    });
  }

  /** Stores events, all or none, and sends them. Under a key that stored the same events before, it does nothing. */
  publish(
    caller: Caller,
    events: readonly NewEvent[],
    key?: PublishKey,
  ): Promise<Outcome<Published>> {
    return this.#do({ caller, events: events.map(sized), ends: false, key });
  }

  /** Publishes what the server of the session has to say. Rejects with a SessionError. */
  async byServer(
    events: readonly NewEvent[],
    idempotencyKey: string | undefined,
  ): Promise<Published> {
    const key =
      idempotencyKey === undefined ? undefined : await publishKeyOf(idempotencyKey, events);
    return unwrap(await this.publish({ admin: true }, events, key));
  }

  /**
   * Stores an event of the session's task, and ends the stream if `ends`; then sends it. `store` runs in the
   * same transaction. Nothing refuses it: what the event says has happened.
   */
  byTask(event: EventWithAside, ends: boolean, store: () => void): void {
    const { life, storage, waiters } = this.#parts;
    const session = life.load(Date.now());
    if (!session) return;
    const { events: channel } = session;
    const logged = storage.transactionSync(() => {
      store();
      return ends ? channel.end([sized(event)]) : channel.append([sized(event)]);
    });
    channel.send(NATIVE_STREAM, logged);
    waiters.notifyAll();
    if (ends) channel.endStream(NATIVE_STREAM);
  }

  /** The events of the session's task, while there is one. */
  get ofTask(): Pick<EventChannel, "newest" | "changeAside"> | undefined {
    return this.#parts.life.load(Date.now())?.events;
  }

  /** Ends the stream, after one last event if there is one. A publish that came before is before the end. */
  async end(caller: Caller, last?: NewEvent): Promise<Outcome<StreamEnd>> {
    const events = last ? [sized(last)] : [];
    const ended = await this.#do({ caller, events, ends: true, key: undefined });
    return ended.ok ? succeed({ id: ended.value.ids.at(-1) ?? "" }) : ended;
  }

  async #do(publish: Publish): Promise<Outcome<Published>> {
    requireKnownVersion(publish.caller.version);
    if (this.#commit.isBusy) {
      // A publish that must wait is checked first, so that a stranger delays nobody and learns
      // nothing from the wait. The owner may change before it is stored, so `#store` checks again.
      const admitted = this.#admit(publish, Date.now());
      if (!admitted.ok) return admitted;
    }
    return this.#commit.do(publish);
  }

  #admit({ caller, events }: Publish, now: number): Outcome<LiveSession> {
    const { life, limits } = this.#parts;
    const session = life.owned(caller, now);
    if (!session) return refuse("session_not_found");
    const tooLarge = events.findIndex(({ bytes }) => bytes > limits.eventMaxBytes);
    if (tooLarge < 0) return succeed(session);
    const where = events.length > 1 ? `event ${tooLarge}` : "the event";
    const detail = `${where} is over EVENT_MAX_BYTES (${limits.eventMaxBytes})`;
    return refuse("payload_too_large", detail);
  }

  #store(publish: Publish): Outcome<Stored> {
    const { life, limits } = this.#parts;
    const now = Date.now();
    const admitted = this.#admit(publish, now);
    if (!admitted.ok) return admitted;
    const session = admitted.value;
    const { record, events: channel } = session;
    if (record.type === SESSION_TYPE_TASK) return refuse("forbidden", OF_A_TASK);
    const { events, ends, key } = publish;
    const before = key && this.#replay(session, key, now);
    if (before) return before;
    const room = { overflow: overflowOf(record), capacity: limits.queueCapacity };
    const refusal = ends ? channel.endRefusal(events, room) : channel.refusal(events, room);
    if (refusal) return refuse(refusal);
    life.touch(session, now);
    const logged = ends ? channel.end(events) : channel.append(events, key);
    // The last one of an end is the `ended` frame, and no event.
    const added = ends ? logged.length - 1 : logged.length;
    return succeed({ channel, logged, added, seqs: logged.map(({ seq }) => seq) });
  }

  /**
   * The outcome of a publish under a key that is known. It comes before every other refusal, so
   * that a publisher whose answer was lost gets it again from a queue that is full by now.
   */
  #replay(session: LiveSession, key: PublishKey, now: number): Outcome<Stored> | undefined {
    const channel = session.events;
    const known = channel.publishedUnder(key);
    if (!known) return undefined;
    if (known.fingerprint !== key.fingerprint) return refuse("idempotency_key_reused");
    this.#parts.life.touch(session, now);
    const seqs = Array.from({ length: known.count }, (_, n) => known.seq + n);
    return succeed({ channel, seqs, logged: [], added: 0, replayed: true });
  }

  /** Sends everything that the turn stored. All of it belongs to one session: nothing ends it within a turn. */
  #send(outcomes: readonly Outcome<Stored>[]): (outcome: Outcome<Stored>) => Outcome<Published> {
    const stored = outcomes.flatMap((one) => (one.ok ? [one.value] : []));
    const logged = stored.flatMap((one) => one.logged);
    const added = stored.reduce((sum, one) => sum + one.added, 0);
    if (added > 0) published.add(added);
    stored[0]?.channel.send(NATIVE_STREAM, logged);
    if (logged.length > 0) this.#parts.waiters.notifyAll();
    const writers = this.#parts.subscribers.count(NATIVE_STREAM);
    if (stored[0]?.channel.ended) stored[0].channel.endStream(NATIVE_STREAM);
    return (one) => {
      if (!one.ok) return one;
      const { channel, seqs, replayed } = one.value;
      const ids = seqs.map((seq) => channel.idOf(seq));
      return succeed({ ids, writers, ...(replayed && { replayed }) });
    };
  }

  #shareOfLog({ events }: Publish): number {
    const { logMaxBytes, logMaxEvents } = this.#parts.limits;
    const bytes = events.reduce((sum, event) => sum + event.bytes, 0);
    return Math.max(bytes / logMaxBytes, events.length / logMaxEvents);
  }

  /**
   * Waits until the turn is durable, and after several publishes a little longer. A message to a
   * reader costs the same whatever it holds, so it pays to gather for longer the more readers there are.
   */
  async #pause(publishes: number): Promise<void> {
    await this.#parts.storage.sync();
    const writers = this.#parts.subscribers.count(NATIVE_STREAM);
    const ms = publishes > 1 ? Math.min(Math.ceil(writers / WRITERS_PER_HELD_MS), MAX_HOLD_MS) : 0;
    if (ms > 0) await sleep(ms);
  }
}
