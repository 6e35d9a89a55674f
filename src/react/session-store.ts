/** The store behind `useSession`, without React: it follows a stream and keeps a view of it. */
import type { Followed, FollowedEvent, FollowOptions } from "../client/follow.ts";
import type { Gap } from "../core/api.ts";

/**
 * `idle`: there is no session yet. `connecting`, `open`, `reconnecting`: the stream goes on, and needs nothing
 * of the page. `ended`, `expired`, `deleted`: how the stream ended. `failed`: the service refused it for good,
 * and `error` has the refusal.
 */
export type SessionStatus =
  | "idle"
  | "connecting"
  | "open"
  | "reconnecting"
  | "ended"
  | "expired"
  | "deleted"
  | "failed";

export interface SessionView {
  /** The last `maxEvents` events, in order, each once. */
  readonly events: readonly FollowedEvent[];
  readonly status: SessionStatus;
  /** The last event that came. Keep it to go on after a reload. */
  readonly lastEventId: string | undefined;
  /** The last place where events are missing; undefined where none are. */
  readonly gap: Gap | undefined;
  /** While `reconnecting`, the failure of the last connection; when `failed`, the refusal; else undefined. */
  readonly error: unknown;
}

export interface SessionStoreOptions {
  /** Opens the stream. Absent: there is no session yet. */
  readonly follow?: ((options: FollowOptions) => AsyncIterable<Followed>) | undefined;
  readonly lastEventId?: string | undefined;
  readonly maxEvents: number;
  /** Called with each item as it comes. */
  readonly onItem: (item: Followed) => void;
  /** Runs a task a moment later, so that events which arrive together are shown together. Default: `setTimeout`. */
  readonly schedule?: (task: () => void) => void;
}

export class SessionStore {
  readonly #options: SessionStoreOptions;
  readonly #schedule: (task: () => void) => void;
  readonly #listeners = new Set<() => void>();
  #view: SessionView;
  /** The events and changes that the view does not show yet. */
  #events: FollowedEvent[] = [];
  #changes: Partial<SessionView> = {};
  #isScheduled = false;
  #lastEventId: string | undefined;
  #isOver = false;

  constructor(options: SessionStoreOptions) {
    this.#options = options;
    this.#schedule = options.schedule ?? ((task) => void setTimeout(task));
    this.#lastEventId = options.lastEventId;
    this.#view = {
      events: [],
      status: options.follow ? "connecting" : "idle",
      lastEventId: options.lastEventId,
      gap: undefined,
      error: undefined,
    };
  }

  /** The same object until something changes. */
  readonly view = (): SessionView => this.#view;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  /** Follows until the returned function is called. Started again, it goes on after the last event. */
  start(): () => void {
    const { follow } = this.#options;
    if (!follow || this.#isOver) return () => {};
    const stop = new AbortController();
    const items = follow({
      lastEventId: this.#lastEventId,
      signal: stop.signal,
      onOpen: () => this.#change({ status: "open", error: undefined }),
      onRetry: (error) => this.#change({ status: "reconnecting", error }),
    });
    void this.#take(items, stop.signal);
    return () => stop.abort();
  }

  async #take(items: AsyncIterable<Followed>, signal: AbortSignal): Promise<void> {
    try {
      for await (const item of items) {
        // The next start gets it again.
        if (signal.aborted) return;
        if (item.type === "end") this.#finish({ status: item.reason, error: undefined });
        else if (item.type === "gap") this.#change({ gap: item });
        else this.#add(item);
        this.#options.onItem(item);
      }
    } catch (error) {
      if (!signal.aborted) this.#finish({ status: "failed", error });
    }
  }

  #add(event: FollowedEvent): void {
    this.#lastEventId = event.id;
    this.#events.push(event);
    this.#change({ lastEventId: event.id });
  }

  #finish(changes: Partial<SessionView>): void {
    this.#isOver = true;
    this.#change(changes);
  }

  #change(changes: Partial<SessionView>): void {
    Object.assign(this.#changes, changes);
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    this.#schedule(() => this.#show());
  }

  #show(): void {
    this.#isScheduled = false;
    const { events } = this.#view;
    const added = this.#events.splice(0);
    this.#view = {
      ...this.#view,
      ...this.#changes,
      events: added.length === 0 ? events : [...events, ...added].slice(-this.#options.maxEvents),
    };
    this.#changes = {};
    for (const listener of this.#listeners) listener();
  }
}
