/**
 * Has everything ready before a call of a client of the stateless revision is sent: the server's log level, its
 * standalone stream, and an upstream session in which a question that names no call can be of this call alone.
 */
import type { EraRequest, ExchangeRequest } from "../contract.ts";
import { ASKING_UPSTREAM_HELD_MS, UPSTREAM_HELD_MS } from "../../core/limits.ts";
import { ASKING_METHODS, mayBeAsked } from "../eras/wire.ts";
import type { Carried } from "./era-carried.ts";
import type { EraDoubt } from "./era-doubt.ts";
import { EraListener } from "./era-listener.ts";
import type { EraRunning } from "./era-running.ts";
import type { EraSender } from "./era-sender.ts";
import type { UpstreamLink } from "./upstream-link.ts";

type Headers = ExchangeRequest["headers"];

interface EntryParts {
  readonly link: UpstreamLink;
  readonly running: EraRunning;
  readonly doubt: EraDoubt;
  readonly sender: EraSender;
  /** Bytes of one message of the upstream. */
  readonly maxBytes: number;
  /** Ends the calls of earlier lives of the object whose clients can come back no more. */
  readonly endLeft: () => void;
  /** Has the server begin anew, if it runs in this object. */
  readonly restart: (() => void) | undefined;
}

export class EraEntry {
  readonly #parts: EntryParts;
  readonly #listener: EraListener;
  /** Calls that are to be alone, and are still to begin. */
  #entering = 0;

  constructor(parts: EntryParts) {
    this.#parts = parts;
    const { link, maxBytes } = parts;
    this.#listener = new EraListener({
      maxBytes,
      silenceMs: link.upstream.silenceMs,
      open: (headers, signal, lastEventId) => link.listen(headers, signal, lastEventId),
      receive: (messages) => link.streams.receive(undefined, messages),
    });
  }

  /**
   * Calls `begin` when everything is ready, which may be at once. Undefined: the call is to be in another slot.
   * Throws UpstreamError.
   */
  enter(
    era: EraRequest,
    headers: Headers,
    begin: () => Carried,
  ): Carried | Promise<Carried | undefined> | undefined {
    const { running, doubt, sender, endLeft } = this.#parts;
    // A Worker comes to another slot because the first one is taken.
    if (era.slot || era.asksAside === doubt.server) doubt.assume();
    const isAlone = mayBeAsked(era) && doubt.asksAside;
    if (isAlone) endLeft();
    const isTaken = isAlone && (running.askable > 0 || this.#entering > 0);
    // An older Worker knows of no other slot. Then no question is guessed at.
    if (isTaken && era.slot !== undefined) return undefined;
    const renews = isAlone && !isTaken && doubt.isInDoubt;
    const level = sender.levelToSet(era.logLevel);
    const listens = this.mayHear(era);
    const heldMs = isAlone ? ASKING_UPSTREAM_HELD_MS : UPSTREAM_HELD_MS;
    const start = (): Carried => {
      const carried = begin();
      if (listens) this.listenDuring(carried, headers);
      return carried;
    };
    if (!renews && level === undefined && (!listens || this.#listener.isReady)) return start();
    const prepare = async (): Promise<Carried | undefined> => {
      if (renews && !(await this.#renewed(headers)) && era.slot !== undefined) return undefined;
      await Promise.all([
        level === undefined ? undefined : sender.setLevel(level, headers),
        // Held for the moment until the call itself holds it.
        listens ? this.#listener.use(headers, heldMs) : undefined,
      ]);
      const carried = start();
      if (listens) this.#listener.release();
      return carried;
    };
    if (!isAlone) return prepare();
    this.#entering++;
    return prepare().finally(() => this.#entering--);
  }

  /** Whether the server may say something of this call by its standalone stream, to which nobody listens. */
  mayHear(era: EraRequest): boolean {
    const { upstream, streams } = this.#parts.link;
    if (upstream.listensInObject || streams.isFollowed) return false;
    if (!ASKING_METHODS.has(era.method)) return false;
    // Many servers name no call in what they send: not in a question, in progress, nor in a log message.
    return era.progressToken !== undefined || era.logLevel !== undefined || mayBeAsked(era);
  }

  listenDuring({ ended }: Carried, headers: Headers): void {
    void this.#listener.use(headers);
    void ended.then(() => this.#listener.release());
  }

  /** Leaves the server's stream: somebody else is to have it, or the session has ended. */
  leave(): void {
    this.#listener.end();
  }

  /**
   * Gives up the upstream session, with the calls that the server may have under way there, and has it made anew.
   * Returns whether that is done.
   */
  async #renewed(headers: Headers): Promise<boolean> {
    const { link, running, doubt, restart } = this.#parts;
    // A list or another call that nobody asks about is not to be broken off.
    if (!running.isIdle) return false;
    this.#listener.end();
    if (!restart) await link.renew(headers);
    else {
      restart();
      doubt.settled();
    }
    return true;
  }
}
