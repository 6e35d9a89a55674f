/** A server of one's own is code that no compiler has checked: it may give, and be given, anything. */
import { expect, it } from "vitest";
import type { ConnectableServer, ServerSession } from "../../../../src/gateway/own/contract.ts";
import { SessionServer } from "../../../../src/gateway/own/server.ts";
import { ServerStore } from "../../../../src/gateway/own/store.ts";
import { createLogger } from "../../../../src/logger.ts";

const INITIALIZE = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: {} });

/** A server that answers nothing, and is there. */
const SILENT: ConnectableServer = { connect: async () => {}, close: async () => {} };

/** The session that the factory gets, and the times at which the object is to wake. */
function serverOf(make: (session: ServerSession) => unknown) {
  const woken: number[] = [];
  const server = new SessionServer({
    name: "default",
    server: { make: (session) => make(session) as ConnectableServer },
    session: () => ({ id: "5c9aab30-4f4c-4a65-8e8c-9df40a7f2e35", subject: "ada", metadata: {} }),
    store: new ServerStore({} as DurableObjectStorage, true),
    publish: () => Promise.reject<never>(new Error("not in this test")),
    wakeBy: (at) => woken.push(at),
    restoring: () => [],
    unasked: () => {},
    log: createLogger("error"),
  });
  return { start: () => server.send({ method: "POST", headers: {}, body: INITIALIZE }), woken };
}

it.each([[undefined], [null], [{}], ["a text"], [() => SILENT]])(
  "a factory that returns %j is refused, with what it must return",
  async (made) => {
    await expect(serverOf(() => made).start()).rejects.toMatchObject({
      cause: { message: `server must return an McpServer, not ${typeof made}` },
    });
  },
);

it("wakes at a Date or a number, after a handler is set, and at nothing else", async () => {
  const { promise, resolve } = Promise.withResolvers<ServerSession>();
  const { start, woken } = serverOf((session) => {
    resolve(session);
    return SILENT;
  });
  void start();
  const { wake, onWake } = await promise;
  expect(() => wake(1)).toThrow("wake needs a handler: call onWake first");
  for (const handler of [undefined, null, 5, "wake"]) {
    expect(() => onWake(handler as never)).toThrow(new TypeError("onWake takes a function"));
  }
  onWake(() => {});
  for (const time of [null, undefined, "", "5", true, [], NaN, Infinity, 9e15, new Date(NaN)]) {
    expect(() => wake(time as never)).toThrow(new RangeError("wake takes a time"));
  }
  wake(new Date(5));
  wake(6.5);
  expect(woken).toEqual([5, 7]);
});
