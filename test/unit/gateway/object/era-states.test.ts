import { expect, it } from "vitest";
import { EraStates, MAX_ERA_STATES } from "../../../../src/gateway/object/era-states.ts";

/** The part of a storage's `kv` that is used. */
function memory() {
  const values = new Map<string, unknown>();
  const kv = {
    get: (key: string) => values.get(key),
    put: (key: string, value: unknown) => void values.set(key, value),
    delete: (key: string) => values.delete(key),
    list: ({ prefix }: { prefix: string }) => [...values].filter(([key]) => key.startsWith(prefix)),
  };
  const load = () => new EraStates(kv as never);
  return { states: load(), values, load };
}

const state = (expiresAt: number, stream = 2) => ({
  stream,
  seq: 0,
  upstreamId: '"up"',
  method: "tools/call",
  name: "t",
  asks: [],
  expiresAt,
});
const OF = { method: "tools/call", name: "t" };

it("gives a question once, until it expires, to the request that it is of", () => {
  const { states } = memory();
  const name = states.add(state(1000), 0);
  expect(states.take(name, { ...OF, name: "u" }, 0)).toMatch(/another request/);
  expect(states.take(`${name}0`, OF, 0)).toMatch(/none that this server gave/);
  expect(states.take(name, OF, 0)).toMatchObject({ stream: 2 });
  expect(states.take(name, OF, 0)).toMatch(/used before/);
  const late = states.add(state(1000), 0);
  expect(states.take(late, OF, 1000)).toMatch(/expired/);
});

it("keeps so many at most: those that are over go first, then the oldest", () => {
  const { states, values, load } = memory();
  const first = states.add(state(1), 0);
  for (let n = 1; n < MAX_ERA_STATES; n++) states.add(state(1000 + n), 0);
  states.add(state(5000), 500);
  expect([values.size, typeof states.take(first, OF, 0)]).toEqual([MAX_ERA_STATES, "string"]);
  states.add(state(6000), 500);
  expect(values.size).toBe(MAX_ERA_STATES);
  // In another life of the object too.
  load().add(state(7000), 500);
  expect(values.size).toBe(MAX_ERA_STATES);
});

it("knows the streams whose clients may still come back", () => {
  const { states } = memory();
  states.add(state(1000, 2), 0);
  states.add(state(10, 3), 0);
  const used = states.add(state(1000, 4), 0);
  states.take(used, OF, 0);
  expect([...states.waiting(500)]).toEqual([2]);
  expect([[...states.waiting(999)], [...states.waiting(1000)]]).toEqual([[2], []]);
});
