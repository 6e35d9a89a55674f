/**
 * Remembers two things of a server that keeps sessions. It may ask without naming a call: then a call that can be
 * asked is to be alone in its upstream session. And it may be at work on a call that nobody here waits for any
 * more, in this upstream session: a question that comes may be that call's. Both outlive the object.
 */
import { memberText } from "../../wire/json-text.ts";
import { asksAside, learnAside } from "../eras/speaks.ts";
import type { Upstream } from "../upstream/upstream.ts";

const ASIDE = "era-asks-aside";
const DOUBT = "era-doubt";

interface DoubtParts {
  readonly kv: DurableObjectStorage["kv"];
  readonly upstream: Upstream;
  /** The server's result of initialize, as JSON. */
  readonly server: () => string;
  /** Id of the upstream session; empty where the server has given none. */
  readonly sid: () => string;
  /** The server lives in this object's memory, and so do its calls. */
  readonly isOwn: boolean;
  /** The calls that wait for the server, as they are stored. */
  readonly stored: () => readonly unknown[];
}

/** The doubt as the next life of the object reads it. */
interface Stored {
  /** The upstream session. */
  readonly sid: string;
  /** One call was under way there, and nothing was in doubt: if that call can go on, nothing is. */
  readonly isAlone: boolean;
}

export class EraDoubt {
  readonly #parts: DoubtParts;
  /** The server that asks without naming a call; undefined: none has. */
  #asking: string | undefined;
  /** The upstream session that is in doubt. */
  #doubted: string | undefined;
  #stored: Stored | undefined;

  constructor(parts: DoubtParts) {
    this.#parts = parts;
    const { kv, isOwn, stored } = parts;
    this.#asking = kv.get<string>(ASIDE);
    this.#stored = isOwn ? undefined : kv.get<Stored>(DOUBT);
    if (this.#stored && !(this.#stored.isAlone && stored().length > 0))
      this.#doubted = this.#stored.sid;
  }

  /** The server, as it describes itself: the next version may ask otherwise. */
  get server(): string {
    return memberText(this.#parts.server(), "serverInfo") ?? "";
  }

  /** Whether the server is known to ask without naming a call. */
  get asksAside(): boolean {
    const { server } = this;
    return this.#asking === server || asksAside(this.#parts.upstream) === server;
  }

  /** Whether the server may be at work on a call that nobody waits for. */
  get isInDoubt(): boolean {
    return this.#doubted !== undefined && this.#doubted === this.#parts.sid();
  }

  /** The server has asked without naming a call. Returns whether that is news. */
  learn(): boolean {
    learnAside(this.#parts.upstream, this.server);
    return this.assume();
  }

  /** A call is to be alone in this session, as if the server had asked. Returns whether that is news. */
  assume(): boolean {
    const { server } = this;
    if (this.#asking === server) return false;
    this.#parts.kv.put(ASIDE, server);
    this.#asking = server;
    return true;
  }

  /** Calls that can be asked are under way: if the object is lost under them, the next life is in doubt. */
  atWork(isAlone: boolean): void {
    if (this.asksAside && !this.isInDoubt) this.#store({ sid: this.#parts.sid(), isAlone });
  }

  /** The server has answered every call that could be asked. */
  atRest(): void {
    if (!this.isInDoubt) this.#store(undefined);
  }

  /** The server has not answered a call, and nobody waits for it any more. */
  givenUp(): void {
    const sid = this.#parts.sid();
    this.#doubted = sid;
    this.#store({ sid, isAlone: false });
  }

  /** A call was lost with the object's memory. */
  lost(): void {
    if (!this.#parts.isOwn) this.givenUp();
  }

  /** The server has begun anew. */
  settled(): void {
    this.#doubted = undefined;
  }

  #store(next: Stored | undefined): void {
    const { kv, isOwn } = this.#parts;
    const before = this.#stored;
    if (isOwn || (next?.sid === before?.sid && next?.isAlone === before?.isAlone)) return;
    this.#stored = next;
    if (next) kv.put(DOUBT, next);
    else kv.delete(DOUBT);
  }
}
