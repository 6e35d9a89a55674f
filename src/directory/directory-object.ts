import { CALL_VERSION, requireKnownVersion, type Caller } from "../core/caller.ts";
import { DurableObject } from "cloudflare:workers";
import { located } from "../config/location.ts";
import { loadConfig } from "../config/service.ts";
import type { Environment } from "../config/env.ts";
import { createLogger, describeFailure, type Logger } from "../logger.ts";
import { AlarmClock } from "../alarm-clock.ts";
import type { SessionType } from "../core/content.ts";
import type { SessionId } from "../core/id.ts";
import { GATHER_MS, SHARD_RETRY_MS, SWEEP_BATCH, SWEEP_INTERVAL_MS } from "../core/limits.ts";
import { DirectoryClient, type DirectoryNamespace } from "./client.ts";
import {
  idOf,
  type Addressed,
  type Delivery,
  type DirectoryFilter,
  type DirectoryMessage,
  type DirectoryShard,
  type Elsewhere,
  type Revocation,
  type ShardRow,
  type Position,
  type RevokeIf,
} from "./contract.ts";
import { Rebalance } from "./rebalance.ts";
import { Reservations } from "./reservations.ts";
import { Revocations } from "./revocations.ts";
import { ShardIndex } from "./shard-index.ts";
import { GroupCommit } from "../group-commit.ts";

/** The HTTP front has checked that the caller may revoke. */
const REVOKER: Caller = { admin: true, version: CALL_VERSION };

/** The part of a session's object that a shard calls. */
interface RevocableSession {
  remove(caller: Caller, condition: RevokeIf): Promise<unknown>;
}

interface Bindings {
  readonly DIRECTORY: DirectoryNamespace;
  readonly SESSIONS: Pick<DurableObjectNamespace, "idFromName" | "get">;
}

/** Before the name of a note. */
const NOTE = "note ";

interface Delivered {
  readonly to: Addressed;
  readonly message: DirectoryMessage;
}

type Implements<T> = {
  [K in keyof T]: T[K] extends (...args: infer A) => Promise<infer R>
    ? (...args: A) => R | Promise<R>
    : never;
};

/**
 * One shard of the directory: it holds the entries of the sessions that `placement.ts` puts
 * here. Its alarm drops entries whose session sends nothing more, goes on with revocations and
 * moves entries to other shards.
 */
export class DirectoryObject
  extends DurableObject<Environment>
  implements Implements<DirectoryShard>
{
  readonly #log: Logger;
  readonly #index: ShardIndex;
  readonly #revocations: Revocations;
  readonly #rebalance: Rebalance;
  readonly #reservations = new Reservations();
  /** For the limits of the sessions of one type. */
  readonly #ofType = new Map<SessionType, Reservations>();
  readonly #deliveries = new GroupCommit({
    work: ({ to, message }: Delivered) => this.#take(to, message),
    finish: () => (delivery) => delivery,
    gatherMs: GATHER_MS,
  });
  readonly #alarm: AlarmClock;
  /** After a batch of a move has failed, the next one starts no earlier; milliseconds since the epoch. */
  #rebalanceAt = 0;

  constructor(ctx: DurableObjectState, env: Environment) {
    super(ctx, env);
    const { logLevel, location } = loadConfig(env);
    // wrangler.toml binds both beside this class.
    const { SESSIONS } = env as unknown as Bindings;
    const sessions = located(SESSIONS, location);
    this.#log = createLogger(logLevel);
    this.#index = new ShardIndex(ctx.storage);
    this.#revocations = new Revocations(ctx.storage.sql, this.#index, (id, condition) => {
      const stub: unknown = sessions.get(sessions.idFromName(id));
      return (stub as RevocableSession).remove(REVOKER, condition);
    });
    this.#rebalance = new Rebalance(ctx.storage.kv, this.#index, this.#revocations, (shards) =>
      this.#directory(shards),
    );
    this.#alarm = new AlarmClock(ctx.storage);
    void ctx.blockConcurrencyWhile(() => this.#alarm.load());
  }

  deliver(to: Addressed, message: DirectoryMessage): Promise<Delivery | Elsewhere> {
    return this.#deliveries.do({ to, message });
  }

  takeBack(to: Addressed, id: SessionId, order: number): Delivery {
    this.#hear(to);
    return this.#index.takeBack(id, order);
  }

  page(to: Addressed, filter: DirectoryFilter, after: Position | undefined, limit: number) {
    const now = this.#hear(to);
    return { entries: this.#index.page(filter, after, limit, now), ...this.#rebalance.seenAt(now) };
  }

  count(to: Addressed, filter: DirectoryFilter, except: readonly string[] = []) {
    const now = this.#hear(to);
    const excepted = except.filter((id) => this.#index.holds(id, filter)).length;
    return { count: this.#index.count(filter) - excepted, ...this.#rebalance.seenAt(now) };
  }

  async revoke(to: Addressed, subject: string, at: number) {
    const now = this.#hear(to);
    const count = this.#index.count({ subject });
    this.#revocations.begin(subject, at, now);
    // Set before the first batch: if the object dies in it, the alarm goes on.
    this.#alarm.wakeBy(now + SHARD_RETRY_MS);
    await this.#revocations.workOn(subject, now);
    this.#settleAlarm(Date.now());
    return { count, ...this.#rebalance.seenAt(now) };
  }

  absorb(to: Addressed, rows: readonly ShardRow[]): void {
    const now = this.#hear(to);
    this.#index.absorb(rows);
    for (const { entry } of rows) if (entry) this.#revocations.catches(entry, now);
    this.#rebalance.absorbed(to, rows);
    this.#settleAlarm(now);
  }

  absorbRevocations(to: Addressed, revocations: readonly Revocation[]): void {
    const now = this.#hear(to);
    this.#revocations.absorb(revocations, now);
    this.#settleAlarm(now);
  }

  admit(to: Addressed, subject: string, id: string, limit: number): Elsewhere | Promise<boolean> {
    return this.#admit(this.#reservations, to, { subject }, id, limit);
  }

  admitOfType(
    to: Addressed,
    subject: string,
    type: SessionType,
    id: string,
    limit: number,
  ): Elsewhere | Promise<boolean> {
    const reservations = this.#ofType.get(type) ?? new Reservations();
    this.#ofType.set(type, reservations);
    return this.#admit(reservations, to, { subject, type }, id, limit);
  }

  note(to: Addressed, name: string, text?: string): string | undefined {
    this.#hear(to);
    const { kv } = this.ctx.storage;
    if (text !== undefined) kv.put(NOTE + name, text);
    return kv.get<string>(NOTE + name);
  }

  release(to: Addressed, subject: string, id: string): void {
    this.#hear(to);
    this.#reservations.release(subject, id);
    for (const reservations of this.#ofType.values()) reservations.release(subject, id);
  }

  override async alarm(): Promise<void> {
    this.#alarm.fired();
    const now = Date.now();
    // Set before the work: if the object dies in it, this alarm goes on.
    this.#alarm.wakeBy(now + SHARD_RETRY_MS);
    this.#index.sweep(now, SWEEP_BATCH);
    await this.#revocations.work(now);
    await this.#continueRebalance(now);
    this.#settleAlarm(Date.now());
  }

  #admit(
    reservations: Reservations,
    to: Addressed,
    filter: DirectoryFilter & { readonly subject: string },
    id: string,
    limit: number,
  ): Elsewhere | Promise<boolean> {
    this.#hear(to);
    const elsewhere = this.#rebalance.elsewhere(to, filter.subject);
    if (elsewhere) return elsewhere;
    const countIndexed = async (except: readonly string[]) =>
      (await this.#directory(to.shards).count(filter, except)).count;
    return reservations.admit(filter.subject, id, limit, countIndexed, Date.now);
  }

  /** One batch of a move. A batch that failed waits, and holds up no other work. */
  async #continueRebalance(now: number): Promise<void> {
    if (now < this.#rebalanceAt) return;
    try {
      await this.#rebalance.work(now);
    } catch (failure) {
      this.#rebalanceAt = now + SHARD_RETRY_MS;
      this.#log.warn("directory.handover_failed", { cause: describeFailure(failure) });
    }
  }

  #take(to: Addressed, message: DirectoryMessage): Delivery | Elsewhere {
    const now = this.#hear(to);
    const elsewhere = this.#rebalance.elsewhere(to, idOf(message));
    if (elsewhere) return elsewhere;
    const delivery = this.#index.apply(message, now);
    if (message.op === "put" && delivery.kind === "taken") {
      const late = this.#revocations.catches(message.entry, now);
      this.#alarm.wakeBy(late ? now : message.dropAt);
    }
    return delivery;
  }

  /** Learns from a call which shard this is and how many there are. Returns the time, in milliseconds since the epoch. */
  #hear(to: Addressed): number {
    requireKnownVersion(to.version);
    const now = Date.now();
    if (this.#rebalance.learn(to)) this.#alarm.wakeBy(now);
    return now;
  }

  #nextWork(now: number): number {
    const move = this.#rebalance.isUnderWay ? Math.max(now, this.#rebalanceAt) : Infinity;
    const drop = this.#index.nextDrop();
    const sweep = drop <= now ? now : Math.max(drop, now + SWEEP_INTERVAL_MS);
    return Math.min(move, sweep, this.#revocations.nextWork() ?? Infinity);
  }

  /** Sets the alarm for the next work, or clears it if there is none. */
  #settleAlarm(now: number): void {
    const next = this.#nextWork(now);
    if (next === Infinity) this.#alarm.clear();
    else this.#alarm.moveTo(next);
  }

  #directory(shards: number): DirectoryClient {
    return new DirectoryClient((this.env as unknown as Bindings).DIRECTORY, shards);
  }
}
