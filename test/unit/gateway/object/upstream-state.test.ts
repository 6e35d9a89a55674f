import { expect, it } from "vitest";
import { changed, changesIn } from "../../../../src/gateway/object/upstream-state.ts";

const request = (method: string, params: object) =>
  JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });

it.each([
  ["logging/setLevel", { level: "debug" }, { kind: "level", level: "debug" }],
  ["resources/subscribe", { uri: "test://a" }, { kind: "subscribe", uri: "test://a" }],
  ["resources/unsubscribe", { uri: "test://a" }, { kind: "unsubscribe", uri: "test://a" }],
  ["logging/setLevel", { level: 7 }, undefined],
  ["resources/subscribe", {}, undefined],
  ["tools/call", { name: "subscribe", uri: "test://a", level: "debug" }, undefined],
])("%s %j", (method, params, change) => {
  const changes = change === undefined ? [] : [change];
  expect(changesIn(request(method, params))).toEqual(changes);
  expect(changesIn(`[${request("ping", {})},${request(method, params)}]`)).toEqual(changes);
});

it("keeps the last level, and each resource until it is unsubscribed", () => {
  const level = changed({ uris: ["a"] }, { kind: "level", level: "debug" });
  expect(level).toEqual({ level: "debug", uris: ["a"] });
  expect(changed({ level: "debug", uris: [] }, { kind: "level", level: "debug" })).toBeUndefined();
  expect(changed({ uris: ["a"] }, { kind: "subscribe", uri: "b" })).toEqual({ uris: ["a", "b"] });
  expect(changed({ uris: ["a"] }, { kind: "subscribe", uri: "a" })).toBeUndefined();
  expect(changed({ uris: ["a", "b"] }, { kind: "unsubscribe", uri: "a" })).toEqual({ uris: ["b"] });
  expect(changed({ uris: ["a"] }, { kind: "unsubscribe", uri: "b" })).toBeUndefined();
});

it("remembers no more than it has room for", () => {
  const uris = Array.from({ length: 1000 }, (_, n) => `test://${n}`);
  expect(changed({ uris }, { kind: "subscribe", uri: "test://more" })).toBeUndefined();
  expect(changed({ uris }, { kind: "unsubscribe", uri: "test://0" })?.uris).toHaveLength(999);
  const long = { kind: "subscribe", uri: "x".repeat(65_537) } as const;
  expect(changed({ uris: [] }, long)).toBeUndefined();
});
