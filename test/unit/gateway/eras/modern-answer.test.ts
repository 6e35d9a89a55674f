import { expect, it } from "vitest";
import {
  type Ask,
  discoverResult,
  heardOf,
  inputRequired,
  isLoud,
  modernResponse,
  statusOfResponse,
  withSubscription,
  withToken,
} from "../../../../src/gateway/eras/modern-answer.ts";

const response = (member: object) => JSON.stringify({ jsonrpc: "2.0", id: "up", ...member });

it.each<[what: string, method: string, given: object, answer: object]>([
  [
    "a result is complete",
    "tools/call",
    { result: { content: [] } },
    { result: { resultType: "complete", content: [] } },
  ],
  [
    "a list says how long it may be kept",
    "tools/list",
    { result: { tools: [] } },
    { result: { resultType: "complete", ttlMs: 0, cacheScope: "private", tools: [] } },
  ],
  [
    "a server's own words do not stand in for it",
    "resources/read",
    { result: { contents: [], resultType: "input_required", ttlMs: 9, cacheScope: "public" } },
    { result: { contents: [], resultType: "complete", ttlMs: 0, cacheScope: "private" } },
  ],
  ["a result that is no object stays", "tools/call", { result: null }, { result: null }],
  ["the same where it would be kept", "resources/read", { result: [{}] }, { result: [{}] }],
  [
    "an error stays",
    "tools/call",
    { error: { code: -32602, message: "m" } },
    { error: { code: -32602, message: "m" } },
  ],
  [
    "an unknown resource has the new code",
    "resources/read",
    { error: { code: -32002, message: "m", data: { uri: "u" } } },
    { error: { code: -32602, message: "m", data: { uri: "u" } } },
  ],
])("%s", (_what, method, given, answer) => {
  const text = modernResponse(method, "7", response(given));
  expect(JSON.parse(text)).toEqual({ jsonrpc: "2.0", id: 7, ...answer });
});

it("answers 404 to a method that the server does not know, and 200 otherwise", () => {
  expect(statusOfResponse(response({ error: { code: -32601, message: "" } }))).toBe(404);
  expect(statusOfResponse(response({ error: { code: -32602, message: "" } }))).toBe(200);
  expect(statusOfResponse(response({ result: {} }))).toBe(200);
});

it("tells of the server without what the revision has not", () => {
  const result = {
    capabilities: { tools: {}, tasks: {} },
    serverInfo: { name: "s" },
    protocolVersion: "2025-11-25",
  };
  expect(JSON.parse(discoverResult(JSON.stringify(result)))).toEqual({
    resultType: "complete",
    supportedVersions: ["2026-07-28"],
    capabilities: { tools: {} },
    ttlMs: 0,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": { name: "s" } },
  });
  expect(JSON.parse(discoverResult("{}"))).toMatchObject({ capabilities: {} });
});

const message = (method: string, params: object, id?: number) =>
  JSON.stringify({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params });

it.each<[what: string, text: string, capabilities: object, heard: object]>([
  ["a response", response({ result: {} }), {}, { kind: "response", id: '"up"' }],
  [
    "progress",
    message("notifications/progress", { progressToken: "p" }),
    {},
    { kind: "progress", token: '"p"' },
  ],
  [
    "a log message",
    message("notifications/message", { level: "info" }),
    {},
    { kind: "log", level: "info" },
  ],
  ["a change of a list", message("notifications/tools/list_changed", {}), {}, { kind: "change" }],
  ["an unknown notification", message("notifications/x", {}), {}, { kind: "ignored" }],
  [
    "a ping",
    message("ping", {}, 3),
    {},
    { kind: "answered", answer: '{"jsonrpc":"2.0","id":3,"result":{}}' },
  ],
  [
    "a question that was declared",
    message("roots/list", {}, 3),
    { roots: {} },
    { kind: "ask", ask: { id: "3", method: "roots/list", params: "{}" } },
  ],
  [
    "a form, which an elicitation without modes means",
    message("elicitation/create", { message: "m" }, 3),
    { elicitation: {} },
    { kind: "ask" },
  ],
])("hears %s", (_what, text, capabilities, heard) => {
  expect(heardOf(text, capabilities)).toMatchObject(heard);
});

it.each<[what: string, method: string, params: object, capabilities: object, code: number]>([
  ["elicitation", "elicitation/create", {}, {}, -32601],
  [
    "a URL, where forms are declared",
    "elicitation/create",
    { mode: "url" },
    { elicitation: { form: {} } },
    -32602,
  ],
  ["sampling", "sampling/createMessage", {}, {}, -32601],
  ["tools in sampling", "sampling/createMessage", { tools: [] }, { sampling: {} }, -32602],
  ["roots", "roots/list", {}, { elicitation: {} }, -32601],
  ["an unknown method", "tasks/list", {}, { roots: {} }, -32601],
])("answers for a client that has not declared %s", (_what, method, params, capabilities, code) => {
  const heard = heardOf(message(method, params, 3), capabilities);
  if (heard.kind !== "answered") throw new Error(heard.kind);
  expect(JSON.parse(heard.answer)).toMatchObject({ id: 3, error: { code } });
});

it("asks for several things at once, without what only older revisions use", () => {
  const ask = (params: object) => ({
    id: "1",
    method: "elicitation/create",
    params: JSON.stringify(params),
  });
  const asks = new Map<string, Ask>([
    ["a", ask({ message: "m", elicitationId: "e", task: {}, _meta: {} })],
    ["b", { id: "2", method: "roots/list", params: undefined }],
  ]);
  expect(JSON.parse(inputRequired("7", asks, "state"))).toEqual({
    jsonrpc: "2.0",
    id: 7,
    result: {
      resultType: "input_required",
      inputRequests: {
        a: { method: "elicitation/create", params: { message: "m" } },
        b: { method: "roots/list" },
      },
      requestState: "state",
    },
  });
});

it("passes on what is as loud as was asked for", () => {
  expect(isLoud("error", "warning")).toBe(true);
  expect(isLoud("info", "warning")).toBe(false);
  expect(isLoud("info", undefined)).toBe(false);
  expect(isLoud("unknown", "warning")).toBe(true);
});

it("puts the client's own token and id in", () => {
  expect(
    withToken(message("notifications/progress", { progressToken: "up", progress: 1 }), "5"),
  ).toBe(message("notifications/progress", { progressToken: 5, progress: 1 }));
  expect(JSON.parse(withSubscription('{"jsonrpc":"2.0","method":"m"}', '"s"'))).toMatchObject({
    params: { _meta: { "io.modelcontextprotocol/subscriptionId": "s" } },
  });
});
