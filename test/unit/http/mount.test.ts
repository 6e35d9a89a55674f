import { expect, it } from "vitest";
import { FastRouter } from "../../../src/http/mount.ts";

/** The handlers that the router finds, in order, with the parameters that each one sees. */
function found(router: FastRouter<string>, method: string, path: string) {
  const [handlers, stash] = router.match(method, path);
  return handlers.map(([handler, params]) => [
    handler,
    Object.fromEntries(
      Object.entries(params).map(([name, at]) => [name, typeof at === "number" ? stash?.[at] : at]),
    ),
  ]);
}

it("holds a fixed path beside a parameter, and finds handlers in the order of their adding", () => {
  const router = new FastRouter<string>();
  router.add("ALL", "*", "guard");
  router.add("GET", "/sessions/:id", "read");
  router.add("GET", "/sessions/count", "count");
  router.add("POST", "/sessions/:id/events", "publish");
  expect(found(router, "GET", "/sessions/a")).toEqual([
    ["guard", {}],
    ["read", { id: "a" }],
  ]);
  expect(found(router, "GET", "/sessions/count")).toEqual([
    ["guard", {}],
    ["read", { id: "count" }],
    ["count", {}],
  ]);
  expect(found(router, "POST", "/sessions/count/events")).toEqual([
    ["guard", {}],
    ["publish", { id: "count" }],
  ]);
  expect(found(router, "DELETE", "/other")).toEqual([["guard", {}]]);
});

it("refuses a parameter where a fixed segment already stands", () => {
  const router = new FastRouter<string>();
  router.add("GET", "/sessions/count", "count");
  expect(() => router.add("GET", "/sessions/:id", "read")).toThrow();
});
