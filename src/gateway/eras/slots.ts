/**
 * The upstream sessions of one client of the stateless revision. It has one, slot `""`. It gets more while it has
 * calls under way at a server whose questions name no call: each is alone in a session then.
 */
import { MAX_ERA_SESSIONS, MAX_POOLED_CLIENTS, MAX_SLOTS_TRIED_AGAIN } from "../../core/limits.ts";

/** The calls of a task find its slot by the task's id; others take a number. */
export type Slot = string;

export const FIRST_SLOT: Slot = "";

const SLOTTED = /^([0-9a-f]{32})\.([0-9a-z-]{1,36})$/;

/** The `requestState` that a client is given for the questions of this name. */
export function stateIn(slot: Slot | undefined, name: string): string {
  return slot ? `${name}.${slot}` : name;
}

/** The slot that a `requestState` leads to, and the name of its questions there. */
export function placeIn(requestState: string): { readonly slot: Slot; readonly name: string } {
  const [, name, slot] = SLOTTED.exec(requestState) ?? [];
  if (name === undefined || slot === undefined) return { slot: FIRST_SLOT, name: requestState };
  return { slot, name };
}

/** Whether a slot is one of those that a `SlotPool` hands out. */
export function isNumbered(slot: Slot): boolean {
  return /^[1-9]\d{0,2}$/.test(slot);
}

/** The slots to try, in this order: most calls find the first one free. */
export function* slotsFor(
  requestState: string | undefined,
  taskId: string | undefined,
  pool: SlotPool,
): Generator<Slot> {
  if (requestState !== undefined) return void (yield placeIn(requestState).slot);
  yield FIRST_SLOT;
  if (taskId !== undefined) return void (yield taskId);
  for (let tries = 0; tries < MAX_SLOTS_TRIED_AGAIN; tries++) {
    const slot = pool.again();
    if (slot === undefined) break;
    yield slot;
  }
  // Each of them, before the call is refused.
  for (let tries = 1; tries < MAX_ERA_SESSIONS; tries++) yield pool.next();
}

/**
 * The numbered slots of one client, as this isolate sees them: it tries none again that it has found taken, so that
 * calls at once do not all try the same ones.
 */
export class SlotPool {
  /** An answer there is over. The call may still wait for its client. */
  readonly #left = new Set<number>();
  #last = 0;

  /** The lowest slot that was given back. */
  again(): Slot | undefined {
    const lowest = Math.min(...this.#left);
    return this.#left.delete(lowest) ? String(lowest) : undefined;
  }

  next(): Slot {
    this.#last = (this.#last % (MAX_ERA_SESSIONS - 1)) + 1;
    return String(this.#last);
  }

  /** An answer in this slot is over, or did not begin. */
  giveBack(slot: Slot): void {
    this.#left.add(Number(slot));
  }
}

/** By the first session of each client; those that were used last. */
const pools = new Map<string, SlotPool>();

/** The pool of the client whose first session this is. */
export function poolOf(firstSession: string): SlotPool {
  const pool = pools.get(firstSession) ?? new SlotPool();
  pools.delete(firstSession);
  pools.set(firstSession, pool);
  const [oldest] = pools.keys();
  if (pools.size > MAX_POOLED_CLIENTS && oldest !== undefined) pools.delete(oldest);
  return pool;
}
