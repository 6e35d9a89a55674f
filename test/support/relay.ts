/** A relay that ends with the test. */
import { onTestFinished } from "vitest";
import { SeveringRelay } from "./severing-relay.ts";

export const Relay = {
  async to(port: number): Promise<SeveringRelay> {
    const relay = await SeveringRelay.open(port);
    onTestFinished(() => relay.close());
    return relay;
  },
};
