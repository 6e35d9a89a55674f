/** The rows of calls that wait for their client. */
import { expect, it } from "vitest";
import { Rounds } from "../../../../src/gateway/object/rounds.ts";
import { ObjectStorage } from "../../../support/object-storage.ts";

it("are as they were before where a change could not be stored, and take the next call", () => {
  const { storage } = new ObjectStorage().open();
  const rounds = new Rounds(storage.sql);
  const call = { exchange: 2, request: "1", body: "{}", questions: [] };
  const failing = () =>
    storage.transactionSync(() => {
      rounds.park(call);
      throw new Error("the disk is full");
    });
  expect(failing).toThrow("the disk is full");
  expect([rounds.parked(), rounds.hasRoomFor(1)]).toEqual([[], true]);
  rounds.park(call);
  expect(rounds.parked()).toEqual([call]);
  expect(new Rounds(storage.sql).parked(2)).toEqual([call]);
});
