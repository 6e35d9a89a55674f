import { expect, it } from "vitest";
import { proveRoom, proveStorage } from "../../../src/session/storage-proof.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

it("stores a row for a proof, and leaves it", async () => {
  const { storage } = new ObjectStorage().open();
  await proveStorage(storage);
  expect([...storage.kv.list()]).toEqual([["stored", expect.any(Number)]]);
});

it("stores half a MiB and an alarm for a proof of room, and leaves nothing", async () => {
  const { storage } = new ObjectStorage().open();
  const seen: unknown[] = [];
  const sync = storage.sync.bind(storage);
  storage.sync = async () => {
    const bytes = storage.kv.get<Uint8Array>("stored");
    const alarm = await storage.getAlarm();
    seen.push([bytes?.length, bytes && new Set(bytes.subarray(-65_536)).size, alarm !== null]);
    return sync();
  };
  await proveRoom(storage);
  expect(seen).toEqual([
    [512 * 1024, 256, true],
    [undefined, undefined, false],
  ]);
});

it.each([proveStorage, proveRoom])("fails where nothing can be stored", async (prove) => {
  const life = new ObjectStorage().open();
  life.end();
  await expect(prove(life.storage)).rejects.toThrow();
});
