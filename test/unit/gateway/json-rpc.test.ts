import fc from "fast-check";
import { expect, it } from "vitest";
import {
  isHarmless,
  messageOf,
  messagesIn,
  requestMeant,
  rpcError,
} from "../../../src/gateway/json-rpc.ts";

const meant = (id: string, open: string[], asked = open) => requestMeant(id, asked, open);

it.each<[what: string, id: string, open: string[], meant: string | undefined]>([
  ["the same", "7", ["7", "8"], "7"],
  ["a number as text", '"7"', ["7", "8"], "7"],
  ["text as a number", "7", ['"7"', "8"], '"7"'],
  ["written otherwise", "1", ["1.0"], "1.0"],
  ["text written otherwise", '"\\u0061"', ['"a"'], '"a"'],
  ["rounded", "9007199254740992", ["9007199254740993"], "9007199254740993"],
  ["digits as text", '"9007199254740993"', ["9007199254740993"], "9007199254740993"],
  ["exactly one of two that are alike", '"7"', ["7", '"7"'], '"7"'],
  ["rounded, but which", "9007199254740992", ["9007199254740993", "9007199254740991.5"], undefined],
  ["as text, but which", '"7"', ["7", "7.0"], undefined],
  ["equal before alike", "7", ["7.0", '"7"'], "7.0"],
  ["another", "8", ["7"], undefined],
  ["no number", '"0x7"', ["7"], undefined],
  ["blank", '""', ["0"], undefined],
  ["other words", '"A"', ['"a"'], undefined],
])("an id is meant where it is %s", (_what, id, open, one) => {
  expect(meant(id, open)).toBe(one);
});

it("a second answer to one request is not another one's", () => {
  expect(meant("7", ['"7"'], ["7", '"7"'])).toBeUndefined();
});

it("finds every id that was asked, beside any others", () => {
  const id = fc.oneof(
    fc.integer().map(String),
    fc.string().map((text) => JSON.stringify(text)),
  );
  fc.assert(
    fc.property(fc.uniqueArray(id, { minLength: 1 }), (ids) => {
      for (const one of ids) expect(meant(one, ids)).toBe(one);
    }),
  );
});

it.each([
  ['{"jsonrpc":"2.0","id":7.0,"method":"x"}', { kind: "request", id: "7.0", method: "x" }],
  ['{"jsonrpc":"2.0","method":"x"}', { kind: "notification", method: "x" }],
  ['{"jsonrpc":"2.0","id":1e999,"method":"x"}', undefined],
  ['{"jsonrpc":"2.0","id":null,"result":{}}', undefined],
  ['{"jsonrpc":"2.0","id":null,"error":{"code":1}}', { kind: "response", error: { code: 1 } }],
  ['{"jsonrpc":"2.0","id":{},"error":{"code":1}}', undefined],
  ['{"jsonrpc":"2.0","id":"a"}', undefined],
  ['{"type":"heartbeat"}', undefined],
])("reads %s", (text, message) => {
  const read = messageOf(JSON.parse(text), text);
  if (message) expect(read).toMatchObject(message);
  else expect(read).toBeUndefined();
});

const NOTICE = '{"jsonrpc" : "2.0", "method":"x", "params":{"price":1.0}}';

it.each<[text: string, texts: string[]]>([
  [NOTICE, [NOTICE]],
  [`[ ${NOTICE} ,null, [${NOTICE}], 17 ,${NOTICE}]`, [NOTICE, NOTICE]],
  ["ping", []],
  ["", []],
  ["null", []],
  ["[]", []],
  ["{}", []],
])("finds the messages in %s", (text, texts) => {
  expect(messagesIn(text).map((one) => one.text)).toEqual(texts);
});

it.each<[body: string, harmless: boolean]>([
  ['{"jsonrpc":"2.0","id":1,"method":"tools/list"}', true],
  ['{"jsonrpc":"2.0","id":1,"method":"tools/call"}', false],
  ['{"jsonrpc":"2.0","id":1,"method":"completion/complete"}', false],
  ['{"jsonrpc":"2.0","id":1,"method":"tasks/cancel"}', false],
  ['{"jsonrpc":"2.0","id":1,"method":"TOOLS/LIST"}', false],
  ['{"jsonrpc":"2.0","method":"ping"}', false],
  ['{"id":1,"method":"tools/call"}', false],
  ['{"id":1,"method":"ping"}', false],
  ['[{"jsonrpc":"2.0","id":1,"method":"ping"},{"id":2,"method":"tools/call"}]', false],
  ["[]", false],
  ["x", false],
  ['{"jsonrpc":"2.0","id":1,"result":{}}', false],
  [
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/list"}]',
    true,
  ],
  [
    '[{"jsonrpc":"2.0","id":1,"method":"ping"},{"jsonrpc":"2.0","id":2,"method":"tools/call"}]',
    false,
  ],
])("%s may run twice: %s", (body, harmless) => {
  expect(isHarmless(body)).toBe(harmless);
});

it("writes an error with the digits of its id", () => {
  expect(rpcError(-1, "no", "9007199254740993")).toBe(
    '{"jsonrpc":"2.0","id":9007199254740993,"error":{"code":-1,"message":"no"}}',
  );
  expect(rpcError(-1, "no")).toBe('{"jsonrpc":"2.0","error":{"code":-1,"message":"no"}}');
});

it("reads a message of more values than are parsed, and keeps its text", () => {
  const many = `[${"1.0,".repeat(100_000)}1.0]`;
  const answer = `{"jsonrpc": "2.0", "id": 7.0, "result": {"rows": ${many}}}`;
  const refusal = `{"id": null, "error": {"data": ${many}, "code": -1, "message": "no"}, "jsonrpc": "2.0"}`;
  const note = `{"jsonrpc": "2.0", "method": "x", "params": ${many}}`;
  const error = { code: -1, message: "no" };
  const messages = [
    { message: { kind: "response", id: "7.0" }, text: answer },
    { message: { kind: "response", id: undefined, error }, text: refusal },
    { message: { kind: "notification", method: "x" }, text: note },
  ];
  for (const one of messages) expect(messagesIn(one.text)).toEqual([one]);
  expect(messagesIn(`[${answer}, 1, ${refusal},${note}]`)).toEqual(messages);
  for (const none of [
    many,
    `{"jsonrpc": "2.0", "id": 7, "nothing": ${many}}`,
    `{"jsonrpc": "2.0", "id": ${many}, "result": 1}`,
    `{"id": 7, "result": ${many}}`,
    `{"jsonrpc": "2.0", "id": 7, "error": ${many}}`,
  ]) {
    expect(messagesIn(none)).toEqual([]);
  }
});
