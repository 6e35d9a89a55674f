/** Calls the shards, and makes one directory of their answers. */
import { CALL_VERSION } from "../core/caller.ts";
import type { SessionType } from "../core/content.ts";
import { UnavailableError } from "../core/errors.ts";
import type { SessionId } from "../core/id.ts";
import type { ListQuery, Notes, Revoked, SessionCount, SessionList } from "../core/host.ts";
import { SHARD_TIMEOUT_MS } from "../core/limits.ts";
import {
  idOf,
  positionOf,
  type Addressed,
  type Delivery,
  type DirectoryEntry,
  type DirectoryFilter,
  type DirectoryMessage,
  type DirectoryShard,
  type Revocation,
  type ShardRow,
  type Layout,
} from "./contract.ts";
import { decodeCursor, encodeCursor, mergeNewest, takeUpTo } from "./listing.ts";
import { placementOf, shardName } from "./placement.ts";
import { located } from "../config/location.ts";
import type { Config } from "../config/service.ts";
import type { Environment } from "../config/env.ts";
import { within } from "../wire/timers.ts";

/** The part of a binding of the DirectoryObject class that finds a shard. */
export type DirectoryNamespace = Pick<DurableObjectNamespace, "idFromName" | "get">;

/** Called for each call that a shard failed. */
type OnFailure = (shard: number, failure: unknown) => void;

/** The answers of all shards that gave one. */
interface Answers<T> {
  readonly values: readonly T[];
  readonly partial: boolean;
}

export class DirectoryClient {
  readonly #namespace: DirectoryNamespace;
  readonly #onFailure: OnFailure | undefined;
  /** Grows when a shard knows of more: another version of the Worker may be ahead of this one. */
  #shards: number;

  /** `shards` is `DIRECTORY_SHARDS`: how many there are, at least 1. */
  constructor(namespace: DirectoryNamespace, shards: number, onFailure?: OnFailure) {
    this.#namespace = namespace;
    this.#onFailure = onFailure;
    this.#shards = shards;
  }

  get shards(): number {
    return this.#shards;
  }

  /** A page of the sessions that fit, newest first. Throws `UnavailableError` if no shard answered. */
  async list({ limit, cursor, ...filter }: ListQuery): Promise<SessionList> {
    const after = cursor === undefined ? undefined : decodeCursor(cursor);
    const ask = (shard: DirectoryShard, to: Addressed) => shard.page(to, filter, after, limit + 1);
    const first = await this.#askAll(ask);
    // An entry that moves may be missed by both shards: it left the first before that one was read,
    // and reached the second after. A second reading finds it in the second.
    const again = first.values.some(({ moving }) => moving) ? await this.#askAll(ask) : undefined;
    const pages = [...first.values, ...(again?.values ?? [])];
    const merged = mergeNewest(pages.map(({ entries }) => entries));
    const { taken, more } = takeUpTo(merged, limit);
    const last = taken.at(-1);
    return {
      sessions: taken,
      ...(more && last && { cursor: encodeCursor(positionOf(last)) }),
      ...((again ?? first).partial && { partial: true }),
    };
  }

  /** Every session that fits, newest first. A session that lives through the walk comes exactly once. */
  async *walk(filter: DirectoryFilter, pageSize: number): AsyncGenerator<DirectoryEntry> {
    let cursor: string | undefined;
    do {
      const page = await this.list({ ...filter, limit: pageSize, ...(cursor && { cursor }) });
      if (page.partial) throw new UnavailableError("A part of the directory did not answer.");
      yield* page.sessions;
      cursor = page.cursor;
    } while (cursor !== undefined);
  }

  /** How many sessions fit. Throws `UnavailableError` if no shard answered. */
  async count(filter: DirectoryFilter, except?: readonly string[]): Promise<SessionCount> {
    const { values, partial } = await this.#askAll((shard, to) => shard.count(to, filter, except));
    return { count: total(values), ...(partial && { partial }) };
  }

  /** Ends every session of a subject made up to `at`, milliseconds since the epoch. Safe to repeat. */
  async revoke(subject: string, at: number): Promise<Revoked> {
    const { values, partial } = await this.#askAll((shard, to) => shard.revoke(to, subject, at));
    return { deleted: total(values), ...(partial && { partial }) };
  }

  /**
   * Sends one session's message. `shardsThen` is the number of shards at its last message:
   * if it placed the entry in another shard, this takes it back there once the new shard has it.
   * The client uses the highest number of shards that it has heard of: with a lower one nobody
   * would find the entry.
   */
  async deliver(message: DirectoryMessage, shardsThen?: number): Promise<Delivery> {
    const id = idOf(message);
    this.#learn(shardsThen ?? 0);
    const place = placementOf(id, this.#shards);
    const before = shardsThen === undefined ? place : placementOf(id, shardsThen);
    const delivery = await this.#ask(place, (shard, to) => shard.deliver(to, message));
    if (delivery.kind === "elsewhere") {
      // Each such answer knows of more shards, so this ends.
      this.#learn(delivery.shards);
      return this.deliver(message, shardsThen);
    }
    if (delivery.kind === "superseded" || before === place) return delivery;
    const back = await this.#ask(before, (shard, to) => shard.takeBack(to, id, message.order));
    return back.kind === "taken" ? delivery : back;
  }

  /** Removes the entry of a session that cannot tell of its end by itself. */
  async remove(id: SessionId): Promise<void> {
    for (let order = Date.now(); ;) {
      const delivery = await this.deliver({ op: "remove", id, order });
      if (delivery.kind === "taken") return;
      order = delivery.by + 1;
    }
  }

  /** Moves rows to a shard. */
  absorb(shard: number, rows: readonly ShardRow[]): Promise<void> {
    return this.#ask(shard, (stub, to) => stub.absorb(to, rows));
  }

  /** Sends revocations to a shard. */
  absorbRevocations(shard: number, revocations: readonly Revocation[]): Promise<void> {
    return this.#ask(shard, (stub, to) => stub.absorbRevocations(to, revocations));
  }

  /** Reserves a place for one more session of a subject, of this type if one is named; false if it has `limit` already. */
  async admit(subject: string, id: string, limit: number, type?: SessionType): Promise<boolean> {
    const home = placementOf(subject, this.#shards);
    const answer = await this.#ask(home, (shard, to) =>
      type === undefined
        ? shard.admit(to, subject, id, limit)
        : shard.admitOfType(to, subject, type, id, limit),
    );
    if (typeof answer === "boolean") return answer;
    this.#learn(answer.shards);
    return this.admit(subject, id, limit, type);
  }

  async release(subject: string, id: string): Promise<void> {
    const home = placementOf(subject, this.#shards);
    await this.#ask(home, (shard, to) => shard.release(to, subject, id));
  }

  /** A few texts by their names, kept for good. */
  get notes(): Notes {
    const note = (name: string, text?: string) =>
      this.#ask(0, (shard, to) => shard.note(to, name, text));
    return {
      read: (name) => note(name),
      write: async (name, text) => void (await note(name, text)),
    };
  }

  /** Asks every shard, also those that an answer adds. */
  async #askAll<T extends Layout>(
    call: (shard: DirectoryShard, to: Addressed) => Promise<T>,
  ): Promise<Answers<T>> {
    const settled: PromiseSettledResult<T>[] = [];
    while (settled.length < this.#shards) {
      const from = settled.length;
      const unasked = Array.from({ length: this.#shards - from }, (_, i) => from + i);
      settled.push(...(await Promise.allSettled(unasked.map((n) => this.#ask(n, call)))));
      for (const result of settled) {
        if (result.status === "fulfilled") this.#learn(result.value.shards);
      }
    }
    const values = settled.flatMap((r) => (r.status === "fulfilled" ? [r.value] : []));
    const failed = settled.find((r) => r.status === "rejected");
    if (values.length === 0) throw new UnavailableError(undefined, { cause: failed?.reason });
    return { values, partial: failed !== undefined };
  }

  #learn(shards: number): void {
    this.#shards = Math.max(this.#shards, shards);
  }

  async #ask<T>(
    shard: number,
    call: (shard: DirectoryShard, to: Addressed) => Promise<T>,
  ): Promise<T> {
    const id = this.#namespace.idFromName(shardName(shard));
    // The binding's class is DirectoryObject, which implements DirectoryShard; over RPC each method returns a promise.
    const stub = this.#namespace.get(id) as unknown as DirectoryShard;
    // A shard that does not answer in time counts as down.
    const to = { shard, shards: this.#shards, version: CALL_VERSION };
    try {
      return await within(call(stub, to), SHARD_TIMEOUT_MS, () => {
        throw new Error(`directory shard ${shard} did not answer in ${SHARD_TIMEOUT_MS} ms`);
      });
    } catch (failure) {
      this.#onFailure?.(shard, failure);
      throw failure;
    }
  }
}

function total(answers: readonly { readonly count: number }[]): number {
  return answers.reduce((sum, { count }) => sum + count, 0);
}

/** The directory of this deployment; undefined if no class is bound as `DIRECTORY`, or `DIRECTORY_SHARDS` is 0. */
export function directoryOf(
  env: Environment,
  config: Config,
  onFailure?: OnFailure,
): DirectoryClient | undefined {
  // wrangler.toml binds it; a Worker that uses SessionObject alone may not.
  const namespace = env["DIRECTORY"] as DirectoryNamespace | undefined;
  if (!namespace || config.directoryShards === 0) return undefined;
  return new DirectoryClient(
    located(namespace, config.location),
    config.directoryShards,
    onFailure,
  );
}
