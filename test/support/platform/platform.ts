/**
 * The platform of the objects in Node: the classes are real, and so is SQLite. Calls, answers and
 * commits go through `gate`, so that a test decides what comes first, and `intercept` lets one call
 * fail or hang. An object can be evicted or killed wherever it awaits. Time is the test's.
 *
 * It keeps the promises of the real platform that the objects build on: a turn without an await is
 * atomic, nothing leaves an object before what it stored is durable, and an object that dies loses
 * its memory, its sockets and what was not durable. `test/workers` shows the rest on workerd.
 */
import { vi } from "vitest";
import { DirectoryClient } from "../../../src/directory/client.ts";
import { DirectoryObject } from "../../../src/directory/directory-object.ts";
import { shardName } from "../../../src/directory/placement.ts";
import { DurableObjectHost } from "../../../src/session/object-host.ts";
import { SessionObject } from "../../../src/session/session-object.ts";
import { loadConfig } from "../../../src/config/service.ts";
import { ObjectStorage, storageOf } from "../object-storage.ts";
import { atEnd } from "../scope.ts";
import { ClientSocket, ServerSocket, stubSockets, type SocketOwner } from "./sockets.ts";

/** An object of either class. Only a session's has sockets. */
type Loaded = Pick<DirectoryObject, "alarm"> | SessionObject;

/** Says which call this is, such as `shard-3 deliver`. */
type Intercept = (call: string, go: () => Promise<unknown>, args: readonly unknown[]) => unknown;

export class Died extends Error {
  override readonly name = "Died";
  /** As the platform marks a failure that another try may mend. */
  readonly retryable = true;
}

/** One life of an object, from its load to its eviction or death. */
class Life {
  readonly object: Loaded;
  readonly died = Promise.withResolvers<never>();
  isDead = false;
  /** Settles when the calls that wait may enter. */
  blocked: Promise<unknown> | undefined;
  /** Calls and background work that are under way. */
  underWay = 0;
  /** Settles when everything that is stored is durable. */
  committing: Promise<void> | undefined;
  readonly held: (() => void)[] = [];
  readonly #host: ObjectHost;

  constructor(host: ObjectHost) {
    this.#host = host;
    this.died.promise.catch(() => undefined);
    this.object = host.make(this.#context(), host.platform.envOf(this));
  }

  onceDurable(act: () => void): void {
    if (this.isDead) return;
    if (this.committing) this.held.push(act);
    else act();
  }

  /** Never settles in an object that has died. */
  async durable(): Promise<void> {
    await this.committing;
    if (this.isDead) await new Promise<void>(() => undefined);
  }

  /** Work that answers by a promise: in an object that has died it never settles. */
  async #later<T>(work: () => T): Promise<T> {
    return this.isDead ? new Promise<T>(() => undefined) : work();
  }

  #mustLive(): void {
    if (this.isDead) throw new Died("the object is not in memory any more");
  }

  #write(): ObjectStorage {
    this.#mustLive();
    const { disk, platform, name } = this.#host;
    disk.begin();
    this.committing ??= platform.gate(`${name} commits`).then(() => {
      if (this.isDead) return;
      disk.commit();
      this.committing = undefined;
      for (const act of this.held.splice(0)) act();
    });
    return disk;
  }

  #read(): ObjectStorage {
    this.#mustLive();
    return this.#host.disk;
  }

  #context(): unknown {
    return {
      id: { toString: () => this.#host.name },
      storage: storageOf({
        read: () => this.#read(),
        write: () => this.#write(),
        later: (work) => this.#later(work),
        sync: () => this.durable(),
      }),
      waitUntil: (work: Promise<unknown>) => {
        this.underWay++;
        void work.catch(() => undefined).finally(() => this.underWay--);
      },
      blockConcurrencyWhile: <T>(work: () => Promise<T>): Promise<T> => {
        const before = this.blocked ?? Promise.resolve();
        const done = before.then(work);
        this.blocked = done.catch(() => undefined);
        return done;
      },
      abort: () => this.#host.kill(),
      acceptWebSocket: (socket: ServerSocket, tags: string[] = []) => {
        socket.owner = this.#host;
        socket.tags.push(...tags);
        this.#host.sockets.push(socket);
      },
      getWebSockets: (tag?: string) =>
        this.#host.sockets.filter(({ tags }) => tag === undefined || tags.includes(tag)),
    };
  }
}

type Make = (ctx: unknown, env: unknown) => Loaded;

/** One object: its storage, its sockets, and its memory while it has one. */
export class ObjectHost implements SocketOwner {
  readonly platform: Platform;
  readonly name: string;
  readonly disk = new ObjectStorage();
  readonly make: Make;
  sockets: ServerSocket[] = [];
  #life: Life | undefined;
  /** How often the alarm that is due has failed. */
  #tries = 0;

  constructor(platform: Platform, name: string, make: Make) {
    this.platform = platform;
    this.name = name;
    this.make = make;
  }

  get isLoaded(): boolean {
    return this.#life !== undefined;
  }

  /** Whether nothing is under way, so that the platform may take the object out of memory. */
  get isIdle(): boolean {
    return !this.#life || (this.#life.underWay === 0 && !this.#life.committing);
  }

  /** A call to the object. It rejects if the object dies before its answer has left. */
  async call(method: string, args: readonly unknown[]): Promise<unknown> {
    const { platform, name } = this;
    const cloned = structuredClone(args);
    const go = async () => {
      await platform.gate(`${name} ${method} comes`);
      const answer = await this.#enter((object) => {
        platform.entered(`${name} ${method}`, cloned);
        return (object as unknown as Record<string, (...args: unknown[]) => unknown>)[method]!(
          ...cloned,
        );
      });
      await platform.gate(`${name} ${method} is answered`);
      return structuredClone(answer);
    };
    return platform.intercept(`${name} ${method}`, go, cloned);
  }

  async fetch(url: string): Promise<Response> {
    await this.platform.gate(`${this.name} fetch comes`);
    const request = { url } as Request;
    const answer = await this.#enter((object) => (object as SessionObject).fetch(request));
    return answer as Response;
  }

  /** Lets the alarm fire if it is due. Returns whether it was. The platform tries one that fails six times. */
  async fireAlarm(): Promise<boolean> {
    const at = this.disk.alarm;
    if (at === null || at > Date.now()) return false;
    this.disk.alarm = null;
    const info = { isRetry: this.#tries > 0, retryCount: this.#tries, scheduledTime: at };
    try {
      await this.#enter((object) => (object as SessionObject).alarm(info as AlarmInvocationInfo));
      this.#tries = 0;
    } catch {
      if (this.#tries++ < 6 && this.disk.alarm === null) this.disk.alarm = Date.now() + 2000;
    }
    return true;
  }

  /** Takes an idle object out of memory. Its sockets stay. */
  evict(): void {
    if (!this.isIdle) throw new Error(`${this.name} is at work`);
    if (this.#life) this.#life.isDead = true;
    this.#life = undefined;
  }

  /** The object dies: what was not durable is lost, calls fail, connections break. */
  kill(): void {
    const life = this.#life;
    if (!life) return;
    this.#life = undefined;
    life.isDead = true;
    this.disk.rollBack();
    for (const socket of this.sockets.splice(0)) socket.breaks();
    life.died.reject(new Died("the object died"));
  }

  onceDurable(act: () => void): void {
    if (this.#life) this.#life.onceDurable(act);
    else act();
  }

  word(socket: ServerSocket, word: string): void {
    void this.#hear(`${this.name} hears`, (object) =>
      (object as SessionObject).webSocketMessage(socket as never, word),
    );
  }

  closed(socket: ServerSocket, code: number, reason: string): void {
    void this.#hear(`${this.name} hears a close`, (object) => {
      if (!this.sockets.includes(socket)) return;
      this.sockets = this.sockets.filter((one) => one !== socket);
      (object as SessionObject).webSocketClose(socket as never, code, reason);
    });
  }

  async #hear(what: string, act: (object: Loaded) => unknown): Promise<void> {
    await this.platform.gate(what);
    await this.#enter(act).catch(() => undefined);
  }

  async #enter(act: (object: Loaded) => unknown): Promise<unknown> {
    const life = (this.#life ??= new Life(this));
    life.underWay++;
    try {
      while (life.blocked) {
        const { blocked } = life;
        await Promise.race([blocked, life.died.promise]);
        if (life.blocked === blocked) life.blocked = undefined;
      }
      const answer = await Promise.race([act(life.object), life.died.promise]);
      await Promise.race([life.committing, life.died.promise]);
      return answer;
    } finally {
      life.underWay--;
    }
  }
}

export class Platform {
  readonly sessions = new Map<string, ObjectHost>();
  readonly shards = new Map<string, ObjectHost>();
  readonly #vars: Readonly<Record<string, string>>;
  /** Resolves when that may happen. */
  gate: (what: string) => Promise<void> = () => Promise.resolve();
  intercept: Intercept = (_call, go) => go();
  /** Called when a call enters an object, in the order in which the object does them. */
  entered: (call: string, args: readonly unknown[]) => void = () => undefined;

  constructor(vars: Readonly<Record<string, string>>) {
    this.#vars = { LOG_LEVEL: "error", ...vars };
  }

  get directory(): DirectoryClient {
    return this.directoryOf(loadConfig(this.#vars).directoryShards);
  }

  /** The directory as a Worker of so many shards knows it. */
  directoryOf(shards: number): DirectoryClient {
    return new DirectoryClient(this.#namespaces().DIRECTORY as never, shards);
  }

  /** The host that the Worker calls. */
  host(maxSessionsPerSubject = 0): DurableObjectHost {
    const { SESSIONS } = this.#namespaces();
    return new DurableObjectHost(SESSIONS as never, {
      directory: this.directory,
      maxSessionsPerSubject,
    });
  }

  session(id: string): ObjectHost {
    const make: Make = (ctx, env) => new SessionObject(ctx as never, env as never);
    return hostIn(this.sessions, id, () => new ObjectHost(this, id, make));
  }

  shard(n: number): ObjectHost {
    return this.#shardNamed(shardName(n));
  }

  /** The bindings of a Worker or, with `life`, of an object: what that sends waits until it is durable. */
  envOf(life?: Life): unknown {
    return { ...this.#vars, ...this.#namespaces(life) };
  }

  /** Lets every alarm fire that is due. Returns how many there were. */
  async fireAlarms(): Promise<number> {
    const hosts = [...this.sessions.values(), ...this.shards.values()];
    const fired = await Promise.all(hosts.map((one) => one.fireAlarm()));
    return fired.filter(Boolean).length;
  }

  /** Moves the clock. Timers that come due run, then the alarms, and then the short timers of their work. */
  async pass(ms: number): Promise<void> {
    await vi.advanceTimersByTimeAsync(ms);
    void this.fireAlarms();
    await vi.advanceTimersByTimeAsync(100);
  }

  #shardNamed(name: string): ObjectHost {
    const make: Make = (ctx, env) => new DirectoryObject(ctx as never, env as never);
    return hostIn(this.shards, name, () => new ObjectHost(this, name, make));
  }

  #namespaces(life?: Life) {
    return {
      SESSIONS: namespaceOf((id) => this.session(id), life),
      DIRECTORY: namespaceOf((name) => this.#shardNamed(name), life),
    };
  }
}

function hostIn(hosts: Map<string, ObjectHost>, name: string, make: () => ObjectHost): ObjectHost {
  const host = hosts.get(name) ?? make();
  hosts.set(name, host);
  return host;
}

function namespaceOf(find: (name: string) => ObjectHost, life: Life | undefined): unknown {
  const stubOf = (name: string) =>
    new Proxy(
      {},
      {
        get: (_target, method) => {
          if (typeof method !== "string" || method === "then") return undefined;
          return async (...args: unknown[]) => {
            await life?.durable();
            if (method === "fetch") return find(name).fetch(String(args[0]));
            return find(name).call(method, args);
          };
        },
      },
    );
  return { idFromName: (name: string) => name, get: stubOf };
}

class SocketPair {
  readonly 0 = new ClientSocket();
  readonly 1 = new ServerSocket(this[0]);

  constructor() {
    this[0].server = this[1];
  }
}

/** A platform for one test, whose clock the test moves. `vars` are the service's variables. */
export function startPlatform(vars: Readonly<Record<string, string>> = {}): Platform {
  vi.useFakeTimers({ now: Date.UTC(2100, 0, 1) });
  stubSockets(SocketPair);
  atEnd(() => {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  });
  return new Platform(vars);
}
