/** A relay that ends with the test. */
import { SeveringRelay } from "./severing-relay.ts";
import { atEnd } from "./scope.ts";

export const Relay = {
  async to(port: number): Promise<SeveringRelay> {
    const relay = await SeveringRelay.open(port);
    atEnd(() => relay.close());
    return relay;
  },
};
