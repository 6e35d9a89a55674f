/**
 * Whether a replica may be sent what must not run twice without asking it something harmless first.
 * A send that fails does not say whether it arrived, so this is known only from before. It is kept
 * in memory alone: an isolate that starts has heard from nobody, which is the safe side.
 */
import { UPSTREAM_HEARD_MS } from "../../core/limits.ts";
import type { Replica, Upstream } from "./upstream.ts";

class ReplicaHealth {
  #heardAt = -Infinity;
  /** Answers that it is streaming now. */
  #open = 0;
  /** Its last connection broke, and it has not been heard from since. */
  isBroken = false;

  /** Whether it has been heard from so lately that a call may be sent to it. */
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

  /** It streams an answer from now on, until the returned function is called. */
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

/** Whether `replica` is to be asked something harmless first. Where there is no other one, that would gain nothing. */
export function asksFirst({ replicas }: Upstream, replica: Replica): boolean {
  return replicas.length > 1 && !healthOf(replica).isSound;
}
