/**
 * Finds the server of one's own that a session's object is to run, and keeps it for as long as the session
 * and the object's memory both last.
 */
import { GATEWAY_KEYS } from "../../core/content.ts";
import { BACKEND_KEYS } from "../../core/document.ts";
import type { Logger } from "../../logger.ts";
import type { OpenSession, SessionAccess } from "../contract.ts";
import { bindingOf, INITIALIZED } from "../upstream/handshake.ts";
import type { OwnServer, Send } from "../upstream/upstream.ts";
import type { ServerSession } from "./contract.ts";
import { SessionServer } from "./server.ts";
import { ServerStore } from "./store.ts";

export interface OwnServerParts {
  /** By the name of their upstream. */
  readonly servers: ReadonlyMap<string, OwnServer>;
  readonly session: SessionAccess;
  readonly storage: DurableObjectStorage;
  readonly publish: ServerSession["publish"];
  /** Makes sure that the object wakes at this time. */
  readonly wakeBy: (at: number) => void;
  /** The client's requests that set up its server, such as subscriptions and the log level. */
  readonly stateRequests: () => readonly string[];
  /** Takes a message that belongs to no request. */
  readonly unasked: (session: OpenSession, text: string) => void;
  readonly log: Logger;
}

/** A session that is yet to be made. */
export type SessionToCome = Pick<OpenSession, "id" | "subject" | "metadata">;

export class ObjectServer {
  readonly #parts: OwnServerParts;
  #running: SessionServer | undefined;

  constructor(parts: OwnServerParts) {
    this.#parts = parts;
  }

  /** Senders to the session's server, by the name of their upstream. */
  get sends(): ReadonlyMap<string, Send> {
    const send: Send = async (parts) => {
      const server = this.#server;
      if (!server) throw new Error("the session has ended");
      return server.send(parts);
    };
    return new Map([...this.#parts.servers.keys()].map((name) => [name, send]));
  }

  serves(upstream: string): boolean {
    return this.#parts.servers.has(upstream);
  }

  /** A session is to be made, which this server may refuse. */
  begin(session: SessionToCome): void {
    this.#running = this.#make(session, true);
  }

  /** The session that `begin` was called for is made, or is not to be. */
  settle(isMade: boolean): void {
    if (isMade) this.#running?.keep();
    else this.end();
  }

  /** The session has another owner: the server may hold what is the last one's alone. */
  restart(): void {
    this.#running?.restart();
  }

  /** The session has ended. */
  end(): void {
    this.#running?.end();
    this.#running = undefined;
  }

  /** When the server is to be woken, in milliseconds since the epoch; Infinity: never. */
  get wakeAt(): number {
    return this.#server?.nextWake ?? Infinity;
  }

  /** Wakes the server, if its time has come. Never rejects. */
  async wake(now: number): Promise<void> {
    if (this.wakeAt <= now) await this.#server?.wake(now);
  }

  get #server(): SessionServer | undefined {
    if (this.#running || this.#parts.servers.size === 0) return this.#running;
    const session = this.#parts.session();
    return session ? (this.#running = this.#make(session, false)) : undefined;
  }

  #make(given: SessionToCome, isNew: boolean): SessionServer | undefined {
    const { servers, session, storage, stateRequests, unasked, ...others } = this.#parts;
    const name = given.metadata[GATEWAY_KEYS.upstream] ?? "";
    const server = servers.get(name);
    if (!server) return undefined;
    const current = () => session() ?? given;
    return new SessionServer({
      ...others,
      name,
      server,
      store: new ServerStore(storage, isNew),
      session: () => {
        const { id, subject, metadata } = current();
        return { id, subject, metadata: withoutBackend(metadata) };
      },
      restoring: () => {
        const { initBody } = bindingOf(current().metadata);
        return initBody === undefined ? [] : [initBody, INITIALIZED, ...stateRequests()];
      },
      unasked: (text) => {
        const open = session();
        if (open) unasked(open, text);
      },
    });
  }
}

/** As the owner sees it. */
function withoutBackend(metadata: SessionToCome["metadata"]): SessionToCome["metadata"] {
  return Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !BACKEND_KEYS.includes(key)),
  );
}
