import { describe, expect, it } from "vitest";
import {
  initializeFor,
  legacyBody,
  readModern,
} from "../../../../src/gateway/eras/modern-request.ts";

const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "c", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": {
    elicitation: { form: {} },
    sampling: {},
    extensions: { x: {} },
  },
};
const HEADERS = {
  "mcp-protocol-version": "2026-07-28",
  "mcp-method": "tools/call",
  "mcp-name": "t",
};

function read(params: object, headers: Record<string, string> = HEADERS, method = "tools/call") {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 7, method, params });
  return readModern(body, new Headers(headers));
}

function request(params: object) {
  const verdict = read(params);
  if (verdict.kind !== "request") throw new Error(JSON.stringify(verdict));
  return verdict;
}

describe("legacyBody", () => {
  it.each<[what: string, params: object, written: object]>([
    [
      "takes off what belongs to the revision",
      { name: "t", arguments: { a: 1 }, _meta: META },
      { name: "t", arguments: { a: 1 } },
    ],
    [
      "keeps other members of _meta",
      { name: "t", _meta: { ...META, traceparent: "00", "com.example/x": 1 } },
      { name: "t", _meta: { traceparent: "00", "com.example/x": 1 } },
    ],
    [
      "gives the server a token of the gateway's own",
      { name: "t", _meta: { ...META, progressToken: 5 } },
      { name: "t", _meta: { progressToken: "up" } },
    ],
    [
      "takes off answers, their state, a log level and a task",
      {
        name: "t",
        inputResponses: { a: {} },
        requestState: "s",
        task: { ttl: 1 },
        _meta: { ...META, "io.modelcontextprotocol/logLevel": "info" },
      },
      { name: "t" },
    ],
  ])("%s", (_what, params, written) => {
    expect(JSON.parse(legacyBody(request(params), '"up"'))).toEqual({
      jsonrpc: "2.0",
      id: "up",
      method: "tools/call",
      params: written,
    });
  });

  it("keeps the text of what it passes on", () => {
    const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"n":9007199254740993,"f":1.0},"_meta":${JSON.stringify(META)}}}`;
    const verdict = readModern(body, new Headers(HEADERS));
    if (verdict.kind !== "request") throw new Error("refused");
    expect(legacyBody(verdict, '"up"')).toContain('"arguments":{"n":9007199254740993,"f":1.0}');
  });
});

it("reads what a request says of its client, its state and its answers", () => {
  const inputResponses = { a: { action: "accept" }, b: { roots: [] } };
  const meta = { ...META, progressToken: "p", "io.modelcontextprotocol/logLevel": "error" };
  const params = { name: "t", inputResponses, requestState: "s", _meta: meta };
  expect(request(params)).toMatchObject({
    id: "7",
    name: "t",
    clientInfo: { name: "c" },
    logLevel: "error",
    progressToken: '"p"',
    requestState: "s",
    inputResponses: { a: '{"action":"accept"}', b: '{"roots":[]}' },
  });
});

it("opens an upstream session with the capabilities that both eras have", () => {
  const { params } = JSON.parse(initializeFor(request({ name: "t", _meta: META }))) as {
    params: object;
  };
  expect(params).toEqual({
    protocolVersion: "2025-11-25",
    capabilities: { elicitation: { form: {} }, sampling: {} },
    clientInfo: { name: "c", version: "1" },
  });
});

it("takes a notification, which no older revision has", () => {
  const body = '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}';
  expect(readModern(body, new Headers())).toEqual({ kind: "notification" });
});

it.each(["null", "1e400", "{}", "true"])(
  "refuses the id %s: its client waits for an answer",
  (id) => {
    const body = `{"jsonrpc":"2.0","id":${id},"method":"tools/list"}`;
    expect(readModern(body, new Headers())).toMatchObject({ kind: "refused", status: 400 });
  },
);

it.each<[what: string, code: number, verdict: ReturnType<typeof read>]>([
  ["no version", -32602, read({ name: "t", _meta: {} })],
  [
    "capabilities that are no object",
    -32602,
    read({ name: "t", _meta: { ...META, "io.modelcontextprotocol/clientCapabilities": 1 } }),
  ],
  [
    "client info that is no object",
    -32602,
    read({ name: "t", _meta: { ...META, "io.modelcontextprotocol/clientInfo": 1 } }),
  ],
  ["a header that is missing", -32020, read({ name: "t", _meta: META }, {})],
  ["a name that differs", -32020, read({ name: "u", _meta: META })],
  [
    "an older version",
    -32022,
    read(
      { name: "t", _meta: { ...META, "io.modelcontextprotocol/protocolVersion": "2025-11-25" } },
      { ...HEADERS, "mcp-protocol-version": "2025-11-25" },
    ),
  ],
  [
    "a method that it dropped",
    -32601,
    read({ _meta: META }, { ...HEADERS, "mcp-method": "ping" }, "ping"),
  ],
])("refuses %s", (_what, code, verdict) => {
  if (verdict.kind !== "refused") throw new Error("it was taken");
  expect(JSON.parse(verdict.body)).toMatchObject({ id: 7, error: { code } });
});

it("is read and written in one pass, whatever it has of members", () => {
  const many = Object.fromEntries(Array.from({ length: 40_000 }, (_, n) => [`m${n}`, {}]));
  const params = { name: "t", _meta: META, inputResponses: many, ...many };
  const verdict = read(params);
  if (verdict.kind !== "request") throw new Error(verdict.kind);
  expect(Object.keys(verdict.inputResponses)).toHaveLength(40_000);
  const sent = JSON.parse(legacyBody(verdict, "1")) as { params: object };
  expect(Object.keys(sent.params)).toHaveLength(40_001);
});
