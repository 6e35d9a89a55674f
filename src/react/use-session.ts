/** The React hook over the client. */
import { useCallback, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { HoldfastClient } from "../client/client.ts";
import type { Followed, FollowOptions } from "../client/follow.ts";
import type { HoldfastClientOptions } from "../client/service.ts";
import type { NewEvent, StreamEnd } from "../core/api.ts";
import { SessionStore, type SessionView } from "./session-store.ts";

/** Events that are shown at most: as many as a session's log retains by default. */
const MAX_EVENTS = 10_000;

/** Either a `client`, or the options of one. */
export interface UseSessionOptions
  extends
    Partial<Pick<HoldfastClientOptions, "url" | "token" | "fetch">>,
    Pick<FollowOptions, "lastEventId" | "from" | "ticket" | "silenceMs"> {
  /** A client that components share. */
  readonly client?: HoldfastClient | undefined;
  /** The session's id. Null or undefined: there is none yet, and the status is `idle`. */
  readonly id: string | null | undefined;
  /** How many of the last events `events` keeps (10,000). `onItem` gets every event. */
  readonly maxEvents?: number | undefined;
  /** Called with each event, gap and end as it comes, once. */
  readonly onItem?: ((item: Followed) => void) | undefined;
}

export interface UsedSession extends SessionView {
  /** Ends the stream for everybody. Needs the scope `events:publish`, which a ticket does not have. */
  readonly end: (last?: NewEvent) => Promise<StreamEnd>;
}

/**
 * Follows a session while the component is mounted. Another `id`, `url` or `client` begins anew; the other
 * options may change at any time, and the last ones count from the next connection on.
 *
 * @example
 * function Answer({ id }: { id: string }) {
 *   const { events, status } = useSession({
 *     url: "https://holdfast.example.com",
 *     id,
 *     from: "earliest",
 *     ticket: () => fetch(`/answers/${id}/ticket`, { method: "POST" }),
 *   });
 *   return <p aria-busy={status !== "ended"}>{events.map(({ data }) => data)}</p>;
 * }
 */
export function useSession(options: UseSessionOptions): UsedSession {
  const latest = useRef(options);
  useEffect(() => {
    latest.current = options;
  });
  const [held, setHeld] = useState(() => new HeldSession(options, latest));
  const current = held.isFor(options) ? held : new HeldSession(options, latest);
  if (current !== held) setHeld(current);
  const { store } = current;
  useEffect(() => store.start(), [store]);
  const view = useSyncExternalStore(store.subscribe, store.view, store.view);
  const end = useCallback((last?: NewEvent) => current.end(last), [current]);
  return { ...view, end };
}

/** The client and the stream of one session, kept from render to render. */
class HeldSession {
  readonly store: SessionStore;
  readonly #options: UseSessionOptions;
  readonly #latest: { readonly current: UseSessionOptions };
  #client: HoldfastClient | undefined;

  constructor(options: UseSessionOptions, latest: { readonly current: UseSessionOptions }) {
    this.#options = options;
    this.#latest = latest;
    const { id, maxEvents = MAX_EVENTS } = options;
    this.store = new SessionStore({
      ...(id && { follow: (more: FollowOptions) => this.#follow(id, more) }),
      lastEventId: options.lastEventId,
      maxEvents,
      onItem: (item) => latest.current.onItem?.(item),
    });
  }

  isFor({ id, client, url }: UseSessionOptions): boolean {
    const mine = this.#options;
    return mine.id === id && mine.client === client && String(mine.url) === String(url);
  }

  async end(last?: NewEvent): Promise<StreamEnd> {
    return this.#connected().end(this.#options.id ?? "", last);
  }

  #follow(id: string, more: FollowOptions) {
    const { from, silenceMs, ticket } = this.#latest.current;
    const asked = typeof ticket === "function" ? () => this.#ticket() : ticket;
    return this.#connected().follow(id, { from, silenceMs, ticket: asked, ...more });
  }

  #ticket() {
    const { ticket } = this.#latest.current;
    return typeof ticket === "function" ? ticket() : (ticket ?? "");
  }

  /** The client, made at the first use and not while rendering: on a server a path as `url` has no base. */
  #connected(): HoldfastClient {
    const { client, url = "" } = this.#options;
    this.#client ??=
      client ??
      new HoldfastClient({
        url,
        token: (refused) => {
          const { token } = this.#latest.current;
          return typeof token === "function" ? token(refused) : token;
        },
        fetch: (address, init) => (this.#latest.current.fetch ?? fetch)(address, init),
      });
    return this.#client;
  }
}
