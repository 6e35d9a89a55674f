/** The keys of publishes, in SQLite. */
import { expect, it } from "vitest";
import { PublishedKeys } from "../../../src/stream/published-keys.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

const key = { key: "k", fingerprint: "f" };
const FOUND = { seq: 1, count: 2, fingerprint: "f" };

it("are found while the log has the last of their events, in whichever life", () => {
  const { storage } = new ObjectStorage().open();
  const keys = new PublishedKeys(storage.sql);
  expect(keys.find("k", 0)).toBeUndefined();
  keys.add(key, 1, 2);
  for (const each of [keys, new PublishedKeys(storage.sql)]) {
    expect([each.find("k", 0), each.find("k", 1), each.find("k", 2)]).toEqual([
      FOUND,
      FOUND,
      undefined,
    ]);
  }
  new PublishedKeys(storage.sql).forgetBefore(2);
  expect(keys.find("k", 0)).toEqual(FOUND);
  keys.forgetBefore(3);
  expect(keys.find("k", 0)).toBeUndefined();
});

it("are as they were before where a change could not be stored, though the log was trimmed in it", () => {
  const { storage } = new ObjectStorage().open();
  const keys = new PublishedKeys(storage.sql);
  const failing = () =>
    storage.transactionSync(() => {
      keys.add(key, 1, 2);
      keys.forgetBefore(1);
      throw new Error("the disk is full");
    });
  expect(failing).toThrow("the disk is full");
  expect(keys.find("k", 0)).toBeUndefined();
  keys.add(key, 1, 2);
  expect(keys.find("k", 0)).toEqual(FOUND);
});
