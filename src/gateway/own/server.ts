/**
 * The life of a server of one's own in its session's object. The factory makes it when the first message
 * of this life of the object comes, or its time to be woken. In a later life this sends it the client's
 * `initialize` again, and the client's lasting requests since, so that neither of the two notices.
 */
import { GATEWAY_KEYS } from "../../core/content.ts";
import { SERVER_START_MS, SERVER_WAKE_MS } from "../../core/limits.ts";
import { describeFailure, type Logger } from "../../logger.ts";
import { within } from "../../wire/timers.ts";
import { messagesIn } from "../json-rpc.ts";
import { FAILURES, UpstreamError } from "../upstream/failure.ts";
import type { Answer, OwnServer, RequestParts } from "../upstream/upstream.ts";
import type { ConnectableServer, ServerSession } from "./contract.ts";
import type { ServerStore } from "./store.ts";
import { OwnTransport } from "./transport.ts";

interface SessionServerParts {
  /** The upstream's name. */
  readonly name: string;
  readonly server: OwnServer;
  /** The session, as it is at each look. */
  readonly session: () => Pick<ServerSession, "id" | "subject" | "metadata">;
  readonly store: ServerStore;
  readonly publish: ServerSession["publish"];
  /** Makes sure that the object wakes at this time. */
  readonly wakeBy: (at: number) => void;
  /** Bodies of POSTs to repeat, so that a new server gets the state of the last one. */
  readonly restoring: () => readonly string[];
  /** Takes a message that belongs to no request. */
  readonly unasked: (text: string) => void;
  readonly log: Logger;
}

/** Milliseconds since the epoch: a Date holds no later time. */
const MAX_TIME = 8.64e15;
/** Messages from before the session is made: a server has nothing to say by then but its answer. */
const MAX_EARLY = 100;

export class SessionServer {
  readonly #parts: SessionServerParts;
  #transport: Promise<OwnTransport> | undefined;
  #onWake: ((at: number) => unknown) | undefined;
  /** Messages that belong to no request, from before the session was made. */
  readonly #early: string[] = [];

  constructor(parts: SessionServerParts) {
    this.#parts = parts;
  }

  /** Takes a request of the gateway, as an upstream's `Send` does. */
  async send({ method, body = "", signal }: RequestParts): Promise<Answer> {
    if (method !== "POST") return new Response(null, { status: 405 });
    const messages = messagesIn(body);
    const [first] = messages;
    const isInitialize = first?.message.kind === "request" && first.message.method === "initialize";
    const transport = await this.#running(isInitialize);
    signal?.throwIfAborted();
    const isBatch = body.trimStart().startsWith("[");
    return transport.post(messages, { isBatch, signal: signal ?? undefined });
  }

  get nextWake(): number {
    return this.#parts.store.nextWake;
  }

  /** The session is made. */
  keep(): void {
    this.#parts.store.keep();
    for (const text of this.#early.splice(0)) this.#parts.unasked(text);
  }

  /** The session has ended, or there will be none. */
  end(): void {
    this.#parts.store.end();
    this.restart();
  }

  /** Calls the handler of `onWake` for each time that has come. Never rejects. */
  async wake(now: number): Promise<void> {
    const { store, log, name } = this.#parts;
    for (const at of store.wakesDue(now)) {
      try {
        await this.#running(false);
        const late = (): never => {
          throw new Error(`the handler of onWake took more than ${SERVER_WAKE_MS} ms`);
        };
        await within(Promise.resolve(this.#onWake?.(at)), SERVER_WAKE_MS, late);
      } catch (failure) {
        log.warn("upstream.wake_failed", { upstream: name, cause: describeFailure(failure) });
      }
      // Only now: if the object is lost meanwhile, the alarm comes again and finds the time.
      store.dropWake(at);
    }
  }

  /** Ends the server, and the calls under way. The next message has a new server made. */
  restart(): void {
    const closing = this.#transport;
    this.#transport = undefined;
    this.#onWake = undefined;
    void closing?.then(
      (transport) => transport.close(),
      () => undefined,
    );
  }

  async #running(isNew: boolean): Promise<OwnTransport> {
    const known = this.#transport;
    if (known && !(await known).isClosed) return known;
    if (this.#transport !== known) return this.#running(isNew);
    const late = (): never => {
      throw new Error(`it took more than ${SERVER_START_MS} ms to start`);
    };
    const started = this.#start(isNew);
    const starting = within(started, SERVER_START_MS, late).catch((cause: unknown) => {
      if (this.#transport === starting) this.#transport = undefined;
      void started.then(
        (transport) => transport.close(),
        () => undefined,
      );
      throw new UpstreamError(FAILURES.notStarted, { cause });
    });
    this.#transport = starting;
    return starting;
  }

  async #start(isNew: boolean): Promise<OwnTransport> {
    const { server, session, store, unasked, restoring } = this.#parts;
    const made: unknown = await server.make(this.#sessionOf());
    if (!isServer(made)) throw new TypeError(`server must return an McpServer, not ${typeof made}`);
    const { id, metadata } = session();
    const take = (text: string): void => {
      if (!store.isNew) unasked(text);
      else if (this.#early.length < MAX_EARLY) this.#early.push(text);
    };
    const transport = new OwnTransport(id, take, metadata[GATEWAY_KEYS.era] !== undefined);
    await made.connect(transport);
    for (const body of isNew ? [] : restoring()) {
      await transport.repeat(messagesIn(body));
    }
    return transport;
  }

  #sessionOf(): ServerSession {
    const { session, store, publish, wakeBy } = this.#parts;
    const wake = (time: Date | number): void => {
      // `Number` would make a time of null, and of "".
      const isTime = typeof time === "number" || time instanceof Date;
      const at = isTime ? Math.ceil(Number(time)) : NaN;
      if (!(Math.abs(at) <= MAX_TIME)) throw new RangeError("wake takes a time");
      if (!this.#onWake) throw new TypeError("wake needs a handler: call onWake first");
      store.addWake(at);
      wakeBy(at);
    };
    const onWake = (handler: (at: number) => unknown): void => {
      if (typeof handler !== "function") throw new TypeError("onWake takes a function");
      this.#onWake = handler;
    };
    const { id } = session();
    return {
      id,
      get subject() {
        return session().subject;
      },
      get metadata() {
        return session().metadata;
      },
      state: store,
      publish,
      wake,
      onWake,
    };
  }
}

/** Code without types may return anything: most often nothing. */
function isServer(made: unknown): made is ConnectableServer {
  return typeof (made as Partial<ConnectableServer> | null | undefined)?.connect === "function";
}
