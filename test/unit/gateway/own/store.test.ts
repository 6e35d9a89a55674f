import { expect, it } from "vitest";
import { ServerStore } from "../../../../src/gateway/own/store.ts";

/** Storage as far as the store uses it. */
function storage() {
  const rows = new Map<string, unknown>();
  const writes: string[] = [];
  const kv = {
    get: (key: string) => rows.get(key),
    put: (key: string, value: unknown) => {
      rows.set(key, value);
      writes.push(key);
    },
    delete: (key: string) => rows.delete(key),
    list: ({ prefix }: { prefix: string }) => [...rows].filter(([key]) => key.startsWith(prefix)),
  };
  return { rows, writes, given: { kv } as unknown as DurableObjectStorage };
}

it("keeps values as JSON holds them, one row each, for the next life", () => {
  const { given, writes } = storage();
  const store = new ServerStore(given, false);
  const value = { at: new Date(0), list: [1] };
  store.put("b", value);
  value.list.push(2);
  store.put("a", null);
  store.put("a", null);
  store.put("gone", 1);
  expect([store.delete("gone"), store.delete("gone")]).toEqual([true, false]);
  expect(writes).toEqual(["server-state:b", "server-state:a", "server-state:gone"]);
  const next = new ServerStore(given, false);
  expect(next.get("b")).toEqual({ at: "1970-01-01T00:00:00.000Z", list: [1] });
  expect([...next.list()]).toEqual([
    ["a", null],
    ["b", next.get("b")],
  ]);
  expect([...next.list({ prefix: "b" }).keys()]).toEqual(["b"]);
  expect(next.get("gone")).toBeUndefined();
});

it("refuses what JSON cannot hold, and what goes beyond its bounds, and stores nothing of it", () => {
  const { given, writes } = storage();
  const store = new ServerStore(given, false);
  for (const value of [undefined, () => 1, Symbol("s")]) {
    expect(() => store.put("a", value)).toThrow(TypeError);
  }
  expect(() => store.put("a", 1n)).toThrow(TypeError);
  // JSON would make them null.
  for (const number of [NaN, Infinity, -Infinity]) {
    expect(() => store.put("a", number)).toThrow(`JSON can hold, not ${number}`);
    expect(() => store.put("a", { list: [number] })).toThrow(TypeError);
  }
  expect(() => store.put("\ud800", 1)).toThrow(TypeError);
  // 1 byte of the key, 2 quotes, and 3 bytes for each €.
  const most = (256 * 1024 - 4) / 3;
  expect(() => store.put("a", "€".repeat(most + 1))).toThrow("would have 262146 of 262144 bytes");
  store.put("a", `${"€".repeat(most)}x`);
  expect(() => store.put("b", "")).toThrow(RangeError);
  // A store that reads the values again counts the same bytes.
  expect(() => new ServerStore(given, false).put("b", "")).toThrow(RangeError);
  store.delete("a");
  for (let n = 0; n < 4096; n++) store.put(String(n), 0);
  expect(() => store.put("one more", 0)).toThrow("has 4096 keys");
  store.put("0", 1);
  expect(writes).toHaveLength(4098);
});

it("holds what a session that is yet to be made is to keep, and stores nothing of one that is not made", () => {
  const { given, rows } = storage();
  const store = new ServerStore(given, true);
  store.put("a", 1);
  store.addWake(5);
  expect([store.get("a"), store.nextWake, rows.size]).toEqual([1, 5, 0]);
  store.keep();
  expect(Object.fromEntries(rows)).toEqual({ "server-state:a": "1", "server-wakes": [5] });
  const refused = new ServerStore(storage().given, true);
  refused.put("a", 1);
  refused.end();
  for (const use of [
    () => refused.get("a"),
    () => refused.put("a", 2),
    () => refused.list(),
    () => refused.addWake(1),
  ]) {
    expect(use).toThrow("has ended");
  }
  expect(refused.nextWake).toBe(Infinity);
});

it("keeps the times in order, each once and 100 at most, until they are done", () => {
  const { given, rows } = storage();
  const store = new ServerStore(given, false);
  expect(store.nextWake).toBe(Infinity);
  for (const at of [30, 10, 20, 10]) store.addWake(at);
  const next = new ServerStore(given, false);
  expect([next.nextWake, next.wakesDue(20)]).toEqual([10, [10, 20]]);
  for (const at of [10, 20, 30]) next.dropWake(at);
  expect([next.nextWake, rows.size]).toEqual([Infinity, 0]);
  for (let at = 0; at < 100; at++) next.addWake(at);
  expect(() => next.addWake(100)).toThrow("woken 100 times");
});
