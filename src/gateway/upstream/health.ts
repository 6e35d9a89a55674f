/**
 * Remembers which replicas answered lately. The gateway pings any other replica before it sends it
 * a call that must not run twice: a send that fails does not say whether it arrived. Memory alone
 * holds this. An isolate that starts has heard from no replica, so it pings first.
 */
import { UPSTREAM_HEARD_MS } from "../../core/limits.ts";
import type { Replica, Upstream } from "./upstream.ts";

class ReplicaHealth {
  #heardAt = -Infinity;
  /** Answers that it is streaming now. */
  #open = 0;
  /** Its last connection broke, and it has not answered since. */
  isBroken = false;

  /** Whether it answered so lately that a call may be sent to it without a ping. */
  get isSound(): boolean {
    if (this.isBroken) return false;
    return this.#open > 0 || Date.now() - this.#heardAt < UPSTREAM_HEARD_MS;
  }

  heard(): void {
    this.#heardAt = Date.now();
    this.isBroken = false;
  }

  broke(): void {
    this.isBroken = true;
  }

  /** Counts an answer that streams, until the returned function is called. */
  opened(): () => void {
    this.#open++;
    return () => void this.#open--;
  }
}

export type { ReplicaHealth };

/** By URL, which the configuration bounds. */
const known = new Map<string, ReplicaHealth>();

export function healthOf({ url }: Replica): ReplicaHealth {
  let health = known.get(url);
  if (!health) known.set(url, (health = new ReplicaHealth()));
  return health;
}

/** The replicas, those whose connection broke last. */
export function soundFirst(replicas: readonly Replica[]): Replica[] {
  const isLater = (replica: Replica) => Number(healthOf(replica).isBroken);
  return replicas.toSorted((a, b) => isLater(a) - isLater(b));
}

/** Whether `replica` is pinged before a call. Without another replica a ping would gain nothing. */
export function asksFirst({ replicas }: Upstream, replica: Replica): boolean {
  return replicas.length > 1 && !healthOf(replica).isSound;
}
