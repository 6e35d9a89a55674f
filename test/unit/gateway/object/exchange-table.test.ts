/** The rows of exchanges that go to streams: which there are, what they give another life, and the numbers of streams. */
import { expect, it } from "vitest";
import { ExchangeTable } from "../../../../src/gateway/object/exchange-table.ts";
import { ObjectStorage } from "../../../support/object-storage.ts";

class World {
  readonly disk = new ObjectStorage();
  table = this.load();

  /** Another life of the object. */
  load(): ExchangeTable {
    return (this.table = new ExchangeTable(this.disk.open().storage.sql));
  }

  rows(name = "exchanges") {
    return this.disk.rows()[name];
  }

  get ids() {
    return this.rows()?.map((row) => (row as { id: number }).id);
  }
}

it("are those of open exchanges and of the newest, whose number is never given again", () => {
  const world = new World();
  expect([world.table.open(), world.table.isOpen(2), world.rows()]).toEqual([[], false, undefined]);
  const [first, second] = [world.table.begin(["1"], false), world.table.begin(["2"], false)];
  expect([first.id, second.id, world.ids]).toEqual([2, 3, [2, 3]]);
  expect(world.table.find(3)).toEqual(second);
  expect(world.table.find(4)).toBeUndefined();
  world.table.savePending(first, []);
  expect([world.ids, world.table.isOpen(2), world.table.isOpen(3)]).toEqual([[3], false, true]);
  world.table.savePending(second, []);
  expect([world.ids, world.table.open()]).toEqual([[3], []]);
  world.load();
  expect([0, 1, 2, 3, 4].map((stream) => world.table.knows(stream))).toEqual([
    false,
    true,
    true,
    true,
    false,
  ]);
  expect(world.table.begin(["3"], false).id).toBe(4);
  expect(world.ids).toEqual([4]);
});

it("are of a number of their own where the answer goes to the standalone stream", () => {
  const world = new World();
  expect(world.table.begin(["1"], true)).toMatchObject({ id: 2, stream: 1 });
  expect([world.table.isOpen(1), world.table.begin(["2"], false).stream]).toEqual([true, 3]);
});

it("say which requests of a batch are left, to every life, until the last is answered", () => {
  const world = new World();
  const alone = world.table.begin(["9"], false);
  expect(world.rows("exchanges_left")).toBeUndefined();
  world.table.savePending(alone, []);
  const batch = world.table.begin(["1", '"a"', "3"], false);
  for (const left of [["1", "3"], ["3"]]) {
    world.table.savePending(batch, left);
    for (const table of [world.table, world.load()]) {
      expect(table.open()).toMatchObject([{ id: 3, asked: ["1", '"a"', "3"], pending: left }]);
    }
  }
  const other = world.table.begin(["4", "5"], false);
  world.table.savePending(other, ["5"]);
  world.table.savePending(batch, []);
  expect(world.rows("exchanges_left")).toEqual([{ id: 4, places: "[1]" }]);
  expect(world.table.open()).toMatchObject([{ id: 4, pending: ["5"] }]);
});

it("of a table that an earlier version made get the column of the upstream's id with the first that has one", () => {
  const world = new World();
  world.disk
    .open()
    .storage.sql.exec(
      "CREATE TABLE exchanges (id INTEGER PRIMARY KEY, stream INTEGER NOT NULL, owed TEXT NOT NULL)",
    );
  expect(world.load().begin(["1"], false).id).toBe(2);
  world.table.begin(["2"], false, "e1");
  world.table.begin(["3"], false, "e2");
  for (const table of [world.table, world.load()]) {
    expect(table.open().map(({ upstreamId }) => upstreamId)).toEqual([undefined, "e1", "e2"]);
  }
});
