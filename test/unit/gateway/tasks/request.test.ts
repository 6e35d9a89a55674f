import { expect, it } from "vitest";
import { taskRequestIn } from "../../../../src/gateway/tasks/request.ts";

const KEY = "io.modelcontextprotocol/clientCapabilities";
const declaring = (tasks: unknown) => ({
  _meta: { [KEY]: { extensions: { "io.modelcontextprotocol/tasks": tasks } } },
});
const ask = (method: string, params: object = {}) =>
  taskRequestIn({ jsonrpc: "2.0", id: 1, method, params });

it.each<[method: string, params: object, found: object | undefined]>([
  ["tools/list", {}, undefined],
  ["constructor", {}, undefined],
  ["server/discover", {}, { kind: "discover" }],
  ["tasks/list", {}, { kind: "removed" }],
  ["tools/call", { name: "a" }, { kind: "call", declares: false, tool: "a", hasTask: false }],
  ["tools/call", { ...declaring({}), task: 1 }, { kind: "call", declares: true, hasTask: true }],
  ["tools/call", declaring(null), { kind: "call", declares: false }],
  ["tasks/get", declaring({}), { kind: "verb", verb: "get", declares: true }],
  ["tasks/update", {}, { kind: "verb", verb: "update", declares: false }],
  ["subscriptions/listen", { notifications: {} }, undefined],
  ["subscriptions/listen", {}, undefined],
  ["subscriptions/listen", { notifications: { taskIds: 1 } }, { kind: "listen" }],
])("%s with %j", (method, params, found) => {
  const request = ask(method, params);
  if (found) expect(request).toMatchObject(found);
  else expect(request).toBeUndefined();
});

it.each([7, [], "x", null, { method: "tasks/get" }, { method: 7, id: 1 }])(
  "%j concerns no task",
  (value) => expect(taskRequestIn(value)).toBeUndefined(),
);
