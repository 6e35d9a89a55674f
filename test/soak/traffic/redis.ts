/** The library's SessionManager over a real Redis that syncs each write to disk before it answers. */
import {
  ProxySession,
  SessionManager,
  UnavailableError,
  newSessionId,
} from "../../../src/entries/index.ts";
import { RedisStorage } from "../../../src/entries/redis.ts";
import type { Random } from "../../support/fuzz/random.ts";
import { startRedis, type RedisServer } from "../../support/redis-server.ts";
import type { Outcome } from "../history.ts";
import type { Journal } from "../journal.ts";
import { Living } from "./living.ts";
import { atRate } from "./pace.ts";

export const REDIS = "redis";

/** About the number of sessions that exist at a time. */
const LIVING = 200;
/** Shares of writes and reads. The rest are creates and deletes. */
const WRITES = 0.5;
const READS = 0.2;
const KEY_PREFIX = "thv:proxy:session:";
const TTL_MS = 2 * 60 * 60 * 1000;

interface Kept {
  readonly id: string;
}

export class RedisTraffic {
  readonly #journal: Journal;
  readonly #random: Random;
  readonly #living: Living<Kept>;
  readonly #server: RedisServer;
  readonly #manager: SessionManager;
  #values = 0;

  private constructor(
    journal: Journal,
    random: Random,
    server: RedisServer,
    manager: SessionManager,
  ) {
    this.#journal = journal;
    this.#random = random;
    this.#living = new Living(random);
    this.#server = server;
    this.#manager = manager;
  }

  static async start(journal: Journal, random: Random): Promise<RedisTraffic> {
    const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const storage = await RedisStorage.connect({
      addr: server.addr,
      keyPrefix: KEY_PREFIX,
      ttlMs: TTL_MS,
    });
    return new RedisTraffic(journal, random, server, new SessionManager({ storage }));
  }

  run(rate: number, signal: AbortSignal): Promise<void> {
    return atRate(rate, signal, () => this.#once());
  }

  /** Kills Redis (`kill -9`) and starts it again on its data. */
  async crash(): Promise<void> {
    await this.#server.kill();
    await this.#server.restart();
  }

  /** The value of each of these sessions that exists. */
  async read(ids: Iterable<string>): Promise<Map<string, string>> {
    const found = new Map<string, string>();
    for (const id of ids) {
      const session = await this.#manager.get(id);
      if (session) found.set(id, session.getMetadataValue("value") ?? "");
    }
    return found;
  }

  async list(): Promise<{ listed: string[]; counted: number }> {
    const listed = new Set<string>();
    // SCAN may name a key twice.
    for await (const { id } of this.#manager.range()) listed.add(id);
    return { listed: [...listed], counted: await this.#manager.count() };
  }

  async stop(): Promise<void> {
    await this.#manager.stop();
    await this.#server.stop();
  }

  async #once(): Promise<void> {
    const choice = this.#random.next();
    if (choice < WRITES) return this.#living.withOne((kept) => this.#write(kept));
    if (choice < WRITES + READS) return this.#living.withOne((kept) => this.#read(kept));
    if (this.#random.next() * 2 * LIVING > this.#living.size) return this.#create();
    return this.#living.withOne((kept) => this.#delete(kept));
  }

  async #create(): Promise<void> {
    const session = this.#session(newSessionId());
    const { outcome } = await this.#change("create", session.id, session, () =>
      this.#manager.addSession(session),
    );
    if (outcome === "done") this.#living.add({ id: session.id });
  }

  async #write({ id }: Kept): Promise<void> {
    const session = this.#session(id);
    await this.#change("write", id, session, () => this.#manager.upsertSession(session));
  }

  async #read({ id }: Kept): Promise<void> {
    await this.#journal.change(REDIS, { record: id, kind: "read", value: undefined }, () =>
      this.#outcome(async () => {
        const session = await this.#manager.get(id);
        if (!session) return { outcome: "missing" };
        return { outcome: "done", value: session.getMetadataValue("value") };
      }),
    );
  }

  async #delete(kept: Kept): Promise<void> {
    this.#living.remove(kept);
    await this.#change("delete", kept.id, undefined, () => this.#manager.delete(kept.id));
  }

  #session(id: string): ProxySession {
    const session = new ProxySession(id);
    session.setMetadata("value", `value ${this.#values++}`);
    return session;
  }

  #change(
    kind: "create" | "write" | "delete",
    record: string,
    session: ProxySession | undefined,
    work: () => Promise<unknown>,
  ) {
    const value = session?.getMetadataValue("value");
    return this.#journal.change<never>(REDIS, { record, kind, value }, () =>
      this.#outcome(async () => {
        await work();
        return { outcome: "done" };
      }),
    );
  }

  /** A call that fails may have been carried out. */
  async #outcome(
    work: () => Promise<{ outcome: Outcome; value?: string | undefined }>,
  ): Promise<{ outcome: Outcome; value?: string | undefined }> {
    try {
      return await work();
    } catch (failure) {
      if (!(failure instanceof UnavailableError)) {
        this.#journal.surprise(`redis: ${failure instanceof Error ? failure.name : "a failure"}`);
      }
      return { outcome: "unknown" };
    }
  }
}
