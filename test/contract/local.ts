import { LocalDataStorage, LocalStorage } from "../../src/library/storage/local.ts";
import { FakeClock } from "../support/fake-clock.ts";
import { describeDataStorage } from "./data-storage-contract.ts";
import { describeStorage } from "./storage-contract.ts";

/** The contracts on the adapters in memory, which must hold on every runtime. */
export function describeLocalAdapters(): void {
  describeStorage("LocalStorage", async (ttlMs) => {
    const clock = new FakeClock();
    return { storage: new LocalStorage({ ttlMs, clock }), age: (_id, ms) => clock.advance(ms) };
  });

  describeDataStorage("LocalDataStorage", async (ttlMs) => {
    const clock = new FakeClock();
    return { storage: new LocalDataStorage({ ttlMs, clock }), age: (_id, ms) => clock.advance(ms) };
  });
}
