/**
 * The upstream sessions of one client of the stateless revision. It has one, slot `""`. It gets more while it has
 * calls under way at a server whose questions name no call: each is alone in a session then. Pure.
 */

/** The calls of a task find its slot by the task's id; others take the first free number. */
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

/** The slots to try, in this order: most calls find the first one free. `max` bounds their number. */
export function* slotsFor(
  requestState: string | undefined,
  taskId: string | undefined,
  max: number,
): Generator<Slot> {
  if (requestState !== undefined) return void (yield placeIn(requestState).slot);
  yield FIRST_SLOT;
  if (taskId !== undefined) return void (yield taskId);
  for (let slot = 1; slot < max; slot++) yield String(slot);
}
