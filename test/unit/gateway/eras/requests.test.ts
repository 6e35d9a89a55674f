import { describe, expect, it } from "vitest";
import {
  againRequest,
  clientIn,
  listenRequest,
  modernBody,
  modernHeaders,
  ownRequest,
  ToolHeaders,
  type ClientSide,
} from "../../../../src/gateway/eras/requests.ts";

const CLIENT: ClientSide = {
  info: { name: "c", version: "1" },
  capabilities: { roots: {} },
  level: "error",
};
const META = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "c", version: "1" },
  "io.modelcontextprotocol/clientCapabilities": { roots: {} },
  "io.modelcontextprotocol/logLevel": "error",
};

describe("the client of an initialize request", () => {
  const from = (params: unknown) =>
    clientIn(JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params }));

  it.each([
    [
      { clientInfo: { name: "a", version: "1" }, capabilities: { roots: {} } },
      { name: "a", version: "1" },
      { roots: {} },
    ],
    [{ clientInfo: { name: "a" }, capabilities: [] }, undefined, {}],
    [undefined, undefined, {}],
  ])("%j", (params, info, capabilities) => {
    expect(from(params)).toEqual({ info, capabilities });
  });

  it("of nobody has no capability", () => {
    expect(clientIn(undefined)).toEqual({ info: undefined, capabilities: {} });
    expect(clientIn("not json")).toEqual({ info: undefined, capabilities: {} });
  });
});

describe("a request of the stateless era", () => {
  it("keeps every letter of the client's but the description that it adds", () => {
    const text =
      '{"jsonrpc":"2.0", "id":9007199254740993,"method":"tools/call","params":{"name":"x","arguments":{"n":1.0},"_meta":{"progressToken":1E2,"io.modelcontextprotocol/logLevel":"debug"}}}';
    const body = modernBody(text, CLIENT);
    for (const kept of ['"id":9007199254740993', '"n":1.0', '"progressToken":1E2', '"2.0", "id"']) {
      expect(body).toContain(kept);
    }
    const { params } = JSON.parse(body) as { params: { _meta: object } };
    expect(params._meta).toEqual({ progressToken: 100, ...META });
  });

  it.each([
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list"}'],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}'],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":null}'],
    ['{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"_meta":7}}'],
  ])("of %s has the description", (text) => {
    expect(JSON.parse(modernBody(text, CLIENT))).toMatchObject({ params: { _meta: META } });
  });

  it("of a client that named no level has none", () => {
    const body = modernBody('{"id":1,"method":"x"}', {
      ...CLIENT,
      level: undefined,
      info: undefined,
    });
    expect(body).not.toContain("logLevel");
    expect(body).not.toContain("clientInfo");
  });

  it.each([
    ["tools/call", { name: "écho" }, "=?base64?w6ljaG8=?="],
    ["resources/read", { uri: "a://b" }, "a://b"],
    ["tools/list", {}, undefined],
    ["tools/call", {}, undefined],
  ])("%s has its headers", (method, params, name) => {
    expect(modernHeaders(JSON.stringify({ method, params }), method)).toEqual({
      "mcp-protocol-version": "2026-07-28",
      "mcp-method": method,
      ...(name !== undefined && { "mcp-name": name }),
    });
  });

  it("of the gateway's own is whole", () => {
    expect(JSON.parse(ownRequest("o", "server/discover", CLIENT))).toEqual({
      jsonrpc: "2.0",
      id: "o",
      method: "server/discover",
      params: { _meta: META },
    });
    const listen = (uris: string[]) =>
      (JSON.parse(listenRequest(CLIENT, uris)) as { params: { notifications: object } }).params
        .notifications;
    expect(listen([])).not.toHaveProperty("resourceSubscriptions");
    expect(listen(["a://b"])).toMatchObject({
      toolsListChanged: true,
      resourceSubscriptions: ["a://b"],
    });
  });
});

describe("a call that is sent again", () => {
  const first =
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"n":1.0}}}';

  it("has an id of its own, the answers by their keys, and the state", () => {
    const again = againRequest(first, '"new"', { a: '{"action":"accept"}', 'b"': "{}" }, "st");
    expect(again).toContain('"n":1.0');
    expect(JSON.parse(again)).toEqual({
      jsonrpc: "2.0",
      id: "new",
      method: "tools/call",
      params: {
        name: "x",
        arguments: { n: 1 },
        inputResponses: { a: { action: "accept" }, 'b"': {} },
        requestState: "st",
      },
    });
  });

  it("forgets the answers and the state of the round before", () => {
    const again = againRequest(first, '"one"', { a: "{}" }, "st");
    expect(JSON.parse(againRequest(again, '"two"', { b: "{}" }, undefined))).toMatchObject({
      id: "two",
      params: { name: "x", arguments: { n: 1 }, inputResponses: { b: {} } },
    });
    expect(againRequest(again, '"two"', {}, undefined)).not.toMatch(/requestState|inputResponses/);
  });

  it("drops what the client itself puts in their place", () => {
    const forged = first.replace(
      '"name":"x"',
      '"name":"x","requestState":"mine","inputResponses":{}',
    );
    expect(againRequest(forged, "2", {}, undefined)).not.toMatch(/requestState|inputResponses/);
  });
});

describe("parameters that headers repeat", () => {
  const listed = (inputSchema: unknown) =>
    JSON.stringify({ jsonrpc: "2.0", id: 1, result: { tools: [{ name: "t", inputSchema }] } });
  const headersOf = (args: unknown, schema: unknown) => {
    const tools = new ToolHeaders();
    tools.learn(listed(schema));
    return tools.headersFor(JSON.stringify({ params: { name: "t", arguments: args } }));
  };
  const schema = {
    type: "object",
    properties: {
      region: { type: "string", "x-mcp-header": "Region" },
      deep: { type: "object", properties: { n: { type: "integer", "x-mcp-header": "N" } } },
      bad: { type: "string", "x-mcp-header": "a b" },
      on: { type: "boolean", "x-mcp-header": "On" },
    },
  };

  it.each([
    [{ region: "eu" }, { "mcp-param-region": "eu" }],
    [{ region: "é", bad: "x" }, { "mcp-param-region": "=?base64?w6k=?=" }],
    [
      { deep: { n: 42 }, on: false },
      { "mcp-param-n": "42", "mcp-param-on": "false" },
    ],
    [{ region: null, deep: [], on: {} }, {}],
    [{ deep: { n: 2 ** 60 } }, {}],
    [undefined, {}],
  ])("of %j", (args, headers) => {
    expect(headersOf(args, schema)).toEqual(headers);
  });

  it("are none before the list was seen, and none of a schema that does not end", () => {
    const call = JSON.stringify({ params: { name: "t", arguments: { region: "eu" } } });
    expect(new ToolHeaders().headersFor(call)).toEqual({});
    let endless: object = { "x-mcp-header": "X" };
    for (let n = 0; n < 100; n++) endless = { properties: { a: endless } };
    let args: unknown = "v";
    for (let n = 0; n < 100; n++) args = { a: args };
    expect(headersOf(args, endless)).toEqual({});
  });
});
