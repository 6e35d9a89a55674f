/**
 * One connection to Redis (or one to each node of a Cluster) and the rules of its failures. A
 * call ends within the timeouts, with Redis's answer or with a `RedisFailure`, which is an
 * `UnavailableError`. It waits for a server that went away, for `dialTimeoutMs`.
 */
import type { Cluster, Redis } from "ioredis";
import { withDeadline, notify } from "../calls.ts";
import { createRedisClient, type RedisClient } from "./client.ts";
import type { RedisSettings } from "./config.ts";
import { RedisFailure, isRoundOfSentinels, isSelectRefusal, redisFailure } from "./failure.ts";
import type { CallOptions } from "../storage.ts";
import { sleep } from "../../../wire/timers.ts";

export interface RedisCallOptions extends CallOptions {
  /**
   * Sends the command once more if the connection broke. Only for reads: a conditional write
   * would meet its own first try, and a second delete can delete a session made in between.
   */
  readonly repeatable?: boolean;
  /** Returns a text as its bytes. */
  readonly bytes?: boolean;
}

/**
 * Milliseconds before the connection tries again a command that it could not send. Not zero, and
 * no failure at once: a caller that tries again at once keeps the event that ends the connection
 * from ever being handled (measured: a process that hung).
 */
const UNSENT_PAUSE_MS = 5;

export class RedisConnection {
  readonly #client: RedisClient;
  readonly #settings: RedisSettings;
  readonly #timeoutMs: number;
  /** The client was handed in: its life and its settings are its owner's. */
  readonly #isOwners: boolean;
  #lastFailure: RedisFailure | undefined;
  #waiting: Promise<void> | undefined;
  /** Ends the wait for a connection: the client emits nothing when it is closed between two attempts. */
  #stopWaiting = () => {};
  #closed = false;

  private constructor(settings: RedisSettings) {
    this.#settings = settings;
    this.#timeoutMs = settings.dialTimeoutMs + settings.writeTimeoutMs + settings.readTimeoutMs;
    this.#client = createRedisClient(settings);
    this.#isOwners = settings.topology.kind === "client";
    if (this.#isOwners) return;
    // Without a listener the client prints its errors, arguments and all.
    this.#client.on("error", (error) => this.#noteProblem(error));
    this.#client.on("ready", () => (this.#lastFailure = undefined));
  }

  /** Connects and pings. If it rejects, it leaves nothing open. */
  static async open(settings: RedisSettings, signal?: AbortSignal): Promise<RedisConnection> {
    const connection = new RedisConnection(settings);
    try {
      await withDeadline(() => connection.#open(), connection.#timeoutMs, signal);
      return connection;
    } catch (error) {
      await connection.close();
      throw error;
    }
  }

  async #open(): Promise<void> {
    const { kind } = this.#settings.topology;
    const isPatient = kind === "sentinel" || kind === "client";
    // During a failover a Sentinel may still name the old master, and the next one the new.
    await this.#becomeReady(isPatient ? "hopeless failure" : "first failure");
    // A Cluster that is ready has just answered, and PING would go to any node, also to one that is away.
    if (!isCluster(this.#client)) await this.command("PING", [], { repeatable: isPatient });
  }

  /** Sends a command whose first argument is its key. */
  command(
    name: string,
    args: readonly (string | Buffer | number)[],
    { bytes = false, ...options }: RedisCallOptions = {},
  ): Promise<unknown> {
    return this.#run(
      (client) => (bytes ? client.callBuffer(name, ...args) : client.call(name, ...args)),
      options,
    );
  }

  /** Names of the servers that hold keys: `""` for a single server, each master's for a Cluster. */
  async keyHolders({ signal }: CallOptions = {}): Promise<string[]> {
    return this.#run(async (client) => [...holders(client).keys()].toSorted(), { signal });
  }

  /** Sends a command to one of the `keyHolders`. Undefined if that one has left the Cluster. */
  commandTo(
    holder: string,
    name: string,
    args: readonly (string | number)[],
    options: RedisCallOptions = {},
  ): Promise<unknown> {
    return this.#run(
      async (client) =>
        holders(client)
          .get(holder)
          ?.call(name, ...args),
      options,
    );
  }

  /** Waits for several commands as long as for one, and not past `signal`; the commands themselves get no signal. */
  within<T>(work: () => Promise<T>, { signal }: CallOptions): Promise<T> {
    return withDeadline(work, this.#timeoutMs, signal);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#isOwners) this.#client.disconnect();
    this.#stopWaiting();
  }

  async #run<T>(
    send: (client: RedisClient) => Promise<T>,
    { signal, repeatable = false }: RedisCallOptions,
  ): Promise<T> {
    return withDeadline(
      async (abandoned) => {
        for (let repeats = repeatable ? 1 : 0; ;) {
          // Also after a failure: closing fails the commands under way, and none may connect again.
          if (this.#closed) throw closed();
          await this.#ready();
          if (abandoned.aborted) throw new RedisFailure("late", "Redis did not answer in time.");
          try {
            this.#gather();
            return await (repeatable ? send(this.#client) : this.#sendOnce(send));
          } catch (error) {
            const failure = redisFailure(error);
            // A connection that has just ended still counts as ready until its event is handled.
            if (failure.kind === "unsent") await sleep(UNSENT_PAUSE_MS);
            else if (failure.kind !== "lost" || repeats-- === 0) throw failure;
          }
        }
      },
      this.#timeoutMs,
      signal,
    );
  }

  /**
   * Sends a command that must not be sent twice. An owner's client may send it again on its next
   * connection, where a conditional write meets its own first try: that answer says nothing.
   */
  async #sendOnce<T>(send: (client: RedisClient) => Promise<T>): Promise<T> {
    const before = streamOf(this.#client);
    const answer = await send(this.#client);
    if (this.#isOwners && streamOf(this.#client) !== before) throw lost();
    return answer;
  }

  /** Has the commands of one turn of the event loop leave in one write: each is a call of the system. */
  #gather(): void {
    const stream = streamOf(this.#client);
    if (this.#isOwners || stream === undefined || stream.writableCorked > 0) return;
    stream.cork();
    setImmediate(() => stream.uncork());
  }

  /** Callers share one wait: an emitter warns of too many listeners. */
  #ready(): Promise<void> {
    if (this.#client.status === "ready") return Promise.resolve();
    this.#waiting ??= this.#becomeReady("hopeless failure").finally(
      () => (this.#waiting = undefined),
    );
    return this.#waiting;
  }

  /** Waits for a connection, for `dialTimeoutMs`, or until a failure of the given kind. */
  #becomeReady(until: "first failure" | "hopeless failure"): Promise<void> {
    const { dialTimeoutMs } = this.#settings;
    const late = () => {
      const why = this.#lastFailure ? ` ${this.#lastFailure.message}` : "";
      return new RedisFailure("late", `No connection to Redis within ${dialTimeoutMs} ms.${why}`);
    };
    const ready = (abandoned: AbortSignal) => this.#whenReady(until, abandoned);
    return withDeadline(ready, dialTimeoutMs, undefined, late);
  }

  #whenReady(until: "first failure" | "hopeless failure", abandoned: AbortSignal): Promise<void> {
    const client = this.#client;
    if (client.status === "ready") return Promise.resolve();
    if (this.#isOwners) this.#lastFailure = undefined;
    return new Promise((resolve, reject) => {
      const listeners = Object.entries({
        ready: () => settle(),
        error: (error: unknown) => {
          const failure = redisFailure(error);
          if (this.#isOwners) this.#lastFailure = failure;
          if (until === "first failure" || failure.hopeless) settle(failure);
        },
        // A server that hangs up without an error, as one that expects TLS does.
        close: () => until === "first failure" && settle(this.#lastFailure ?? lost()),
        end: () => settle(this.#closed ? closed() : (this.#lastFailure ?? lost())),
      });
      const settle = (failure?: RedisFailure) => {
        for (const [event, listener] of listeners) client.off(event, listener);
        if (failure) reject(failure);
        else resolve();
      };
      abandoned.addEventListener("abort", () => settle(lost()));
      this.#stopWaiting = () => settle(closed());
      for (const [event, listener] of listeners) client.on(event, listener);
      if (client.status === "end" && this.#isOwners) settle(endedByOwner());
      else if (client.status === "wait" || client.status === "end") {
        // A failure to connect also comes as an event, whose listener handles it.
        client.connect().catch(() => {});
      }
    });
  }

  #noteProblem(error: unknown): void {
    // The last failure, of a server that a Sentinel named, says more.
    if (this.#lastFailure && isRoundOfSentinels(error)) return;
    const failure = redisFailure(error);
    this.#lastFailure = failure;
    notify(this.#settings.onConnectionProblem, failure.message);
    // The client would go on in database 0, which does not have these sessions.
    if (isSelectRefusal(error)) this.#client.disconnect(true);
  }
}

function holders(client: RedisClient): Map<string, { call: RedisClient["call"] }> {
  if (!isCluster(client)) return new Map([["", client]]);
  return new Map(
    client.nodes("master").map((node) => [`${node.options.host}:${node.options.port}`, node]),
  );
}

/** Not `instanceof`: an owner's client can come from another copy of the package. */
function isCluster(client: RedisClient): client is Cluster {
  return client.isCluster;
}

/** The connection of a client that has one. */
function streamOf(client: RedisClient): Redis["stream"] | undefined {
  return isCluster(client) ? undefined : client.stream;
}

function endedByOwner(): RedisFailure {
  return new RedisFailure("lost", "The Redis client was closed by its owner.", true);
}

function closed(): RedisFailure {
  return new RedisFailure("lost", "The Redis storage was closed.");
}

function lost(): RedisFailure {
  return new RedisFailure("lost", "The connection to Redis was lost.");
}
