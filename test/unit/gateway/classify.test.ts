import { expect, it } from "vitest";
import {
  classify,
  VERSION_META_KEY,
  type Verdict,
  type VersionRefusal,
} from "../../../src/gateway/classify.ts";

const request = (method: string, params?: object, id: unknown = 1) => ({
  jsonrpc: "2.0",
  id,
  method,
  ...(params && { params }),
});
const notification = (method: string, params?: object) => ({
  jsonrpc: "2.0",
  method,
  ...(params && { params }),
});
const CLAIM = { _meta: { "io.modelcontextprotocol/protocolVersion": "2026-07-28" } };
/** Only a session that agreed on the version may take it. */
const unlessAgreed = (version: string, code: number): { refusal: Partial<VersionRefusal> } => ({
  refusal: expect.objectContaining({ version, code }) as Partial<VersionRefusal>,
});
const exchange = (pending: (string | number)[], more: object = {}) => ({
  kind: "exchange",
  batch: false,
  pending: pending.map((id) => JSON.stringify(id)),
  cancels: [],
  ...more,
});

it.each<[what: string, body: unknown, version: string | undefined, verdict: object]>([
  ["a request", request("ping"), undefined, exchange([1])],
  ["id 0 is an id", request("ping", undefined, 0), undefined, exchange([0])],
  ["a string id", request("ping", undefined, "a"), "2025-06-18", exchange(["a"])],
  ["initialize", request("initialize"), undefined, { kind: "initialize", id: "1" }],
  ["a notification", notification("notifications/initialized"), "2025-11-25", exchange([])],
  ["a response", { jsonrpc: "2.0", id: 3, result: {} }, undefined, exchange([])],
  [
    "an error response",
    { jsonrpc: "2.0", id: 3, error: { code: 1, message: "" } },
    undefined,
    exchange([]),
  ],
  [
    "an error without id",
    { jsonrpc: "2.0", error: { code: 1, message: "" } },
    undefined,
    exchange([]),
  ],
  [
    "a cancellation",
    notification("notifications/cancelled", { requestId: 7 }),
    undefined,
    exchange([], { cancels: ["7"] }),
  ],
  [
    "the claim decides, whatever the header says",
    request("ping", CLAIM),
    "2025-11-25",
    { kind: "stateless", id: "1" },
  ],
  ["the claim without a header", request("ping", CLAIM), undefined, { kind: "stateless", id: "1" }],
  [
    "the claim on initialize",
    request("initialize", CLAIM),
    undefined,
    { kind: "stateless", id: "1" },
  ],
  [
    "a claim of a version yet to come",
    request("ping", { _meta: { "io.modelcontextprotocol/protocolVersion": "2099-01-01" } }),
    "2099-01-01",
    { kind: "stateless", id: "1" },
  ],
  [
    "a notification's header is enough",
    notification("notifications/cancelled"),
    "2026-07-28",
    { kind: "stateless" },
  ],
  [
    "a modern header without the claim",
    request("ping"),
    "2026-07-28",
    exchange([1], unlessAgreed("2026-07-28", -32602)),
  ],
  ["but not on initialize", request("initialize"), "2026-07-28", { kind: "initialize", id: "1" }],
  ["nor any other", request("initialize"), "never", { kind: "initialize", id: "1" }],
  [
    "a version that never was",
    request("ping"),
    "1999-01-01",
    exchange([1], unlessAgreed("1999-01-01", -32600)),
  ],
  [
    "a version that is none",
    request("ping"),
    "latest",
    exchange([1], unlessAgreed("latest", -32600)),
  ],
  ["an empty version", request("ping"), "", exchange([1], unlessAgreed("", -32600))],
  ["no JSON-RPC", { hello: 1 }, undefined, { kind: "refused", code: -32600 }],
  [
    "JSON-RPC 1",
    { jsonrpc: "1.0", id: 1, method: "ping" },
    undefined,
    { kind: "refused", code: -32600, id: "1" },
  ],
  ["a null id", request("ping", undefined, null), undefined, { kind: "refused", code: -32600 }],
  [
    "an object for an id",
    request("ping", undefined, {}),
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "a result without an id",
    { jsonrpc: "2.0", result: {} },
    undefined,
    { kind: "refused", code: -32600 },
  ],
  ["a number", 5, undefined, { kind: "refused", code: -32600 }],
  ["null", null, undefined, { kind: "refused", code: -32600 }],
  [
    "a batch",
    [request("ping"), notification("notifications/x"), request("ping", undefined, "b")],
    "2025-03-26",
    exchange([1, "b"], { batch: true }),
  ],
  ["a batch without a version", [request("ping")], undefined, exchange([1], { batch: true })],
  [
    "a batch, whatever the header says: the session knows what was agreed on",
    [request("ping")],
    "2025-06-18",
    exchange([1], { batch: true }),
  ],
  [
    "an id of 201 characters, which is not repeated",
    request("ping", undefined, "i".repeat(199)),
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "such an id in a batch",
    [request("ping"), request("ping", undefined, "i".repeat(199))],
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "such an id in the stateless revision",
    request("ping", CLAIM, "i".repeat(199)),
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "such an id in what is no message",
    { jsonrpc: "1.0", id: "i".repeat(199), method: "ping" },
    undefined,
    { kind: "refused", code: -32600 },
  ],
  [
    "an id of 200 characters",
    request("ping", undefined, "i".repeat(198)),
    undefined,
    exchange(["i".repeat(198)]),
  ],
  ["an empty batch", [], undefined, { kind: "refused", code: -32600 }],
  ["initialize in a batch", [request("initialize")], undefined, { kind: "refused", code: -32600 }],
  ["a claim in a batch", [request("ping", CLAIM)], undefined, { kind: "refused", code: -32600 }],
  ["nonsense in a batch", [1], undefined, { kind: "refused", code: -32600 }],
])("%s", (_what, body, version, verdict) => {
  const posted = { body: JSON.stringify(body), value: body };
  const { message: _message, ...rest } = classify(posted, version) as Verdict & {
    message?: string;
  };
  expect(rest).toEqual(verdict);
});

it.each([
  ["params is no object", [[1], null, "x", 7, true]],
  ["params._meta is no object", [{ _meta: [] }, { _meta: null }, { _meta: "x" }]],
  [`params._meta["${VERSION_META_KEY}"] is missing`, [undefined, {}, { _meta: {} }]],
])("a modern header without a claim: %s", (problem, given) => {
  for (const params of given) {
    const value = { jsonrpc: "2.0", id: 1, method: "tasks/get", params };
    const verdict = classify({ body: JSON.stringify(value), value }, "2026-07-28");
    const message = `${problem}, which 2026-07-28 requires`;
    expect(verdict).toMatchObject({ refusal: { code: -32602, message } });
  }
});

it("keeps each id as it was written", () => {
  const verdictOf = (body: string) => classify({ body, value: JSON.parse(body) }, undefined);
  const ping = (id: string) => `{"jsonrpc": "2.0", "id": ${id}, "method": "ping"}`;
  expect(verdictOf(ping("9007199254740993"))).toMatchObject({ pending: ["9007199254740993"] });
  expect(verdictOf(`[${ping("1.0")}, ${ping("1e3")}]`)).toMatchObject({ pending: ["1.0", "1e3"] });
  const cancel =
    '{"method": "notifications/cancelled", "jsonrpc": "2.0", "params": {"requestId": 7.0}}';
  expect(verdictOf(cancel)).toMatchObject({ cancels: ["7.0"] });
  expect(verdictOf('{"id": 1e2, "method": "ping"}')).toMatchObject({ kind: "refused", id: "1e2" });
});
