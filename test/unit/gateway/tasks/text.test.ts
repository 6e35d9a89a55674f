import { describe, expect, it } from "vitest";
import { messagesIn } from "../../../../src/gateway/json-rpc.ts";
import {
  callToSend,
  outcomeOf,
  progressIn,
  repeated,
  responseIn,
  withoutTask,
} from "../../../../src/gateway/tasks/text.ts";

describe("a call as it is sent", () => {
  it("has no task of 2025-11-25, and a progress token; every other letter stays", () => {
    const body = '{"id": 1.0, "params":{"name":"x", "task":{"ttl":1}, "_meta":{"a": 2.0}}}';
    expect(callToSend(body, "own")).toEqual({
      body: '{"id": 1.0, "params":{"name":"x", "_meta":{"progressToken":"own","a": 2.0}}}',
      token: '"own"',
      isOwnToken: true,
    });
  });

  it("keeps the client's token", () => {
    const body = '{"params":{"_meta":{"progressToken": 9007199254740993}}}';
    expect(callToSend(body, "own")).toEqual({
      body,
      token: "9007199254740993",
      isOwnToken: false,
    });
  });

  it.each(['{"params":{"name":"x"}}', "{}", '{"params":[1]}'])(
    "without a task it is what it was: %s",
    (body) => expect(withoutTask(body)).toBe(body),
  );

  it("is repeated with answers, and with the state of this round alone", () => {
    const body = '{"id":1,"params":{"requestState":"old","name":"x"}}';
    const answers = { a: '{"n":1.0}', __proto__x: "{}" };
    expect(JSON.parse(repeated(body, { answers }))).toEqual({
      id: 1,
      params: { name: "x", inputResponses: { a: { n: 1 }, __proto__x: {} } },
    });
    expect(repeated(body, { answers: {}, requestState: '"new"' })).toContain(
      '"requestState":"new"',
    );
  });
});

describe("what an upstream says", () => {
  const outcome = (text: string) => outcomeOf(messagesIn(text)[0]!);
  const response = (result: string) => `{"jsonrpc":"2.0","id":1,"result":${result}}`;

  it.each<[what: string, text: string, means: object]>([
    [
      "a result",
      response('{"resultType":"complete","n":1.0}'),
      { status: "completed", result: '{"resultType":"complete","n":1.0}' },
    ],
    [
      "a result without its type",
      response('{"n":1.0}'),
      { status: "completed", result: '{"resultType":"complete","n":1.0}' },
    ],
    [
      "an error",
      '{"jsonrpc":"2.0","id":1,"error":{"code":1.0,"message":"m"}}',
      { status: "failed", error: '{"code":1.0,"message":"m"}', message: "m" },
    ],
    [
      "a task of its own",
      response('{"resultType":"task"}'),
      { status: "failed", message: "The upstream's result is of an unknown type" },
    ],
    [
      "questions that are none",
      response('{"resultType":"input_required","inputRequests":[]}'),
      { status: "failed", message: "The upstream asked for something that is no request" },
    ],
  ])("%s", (_what, text, end) => {
    expect(outcome(text)).toMatchObject({ kind: "ended", end });
  });

  it("questions, with the state that it wants back", () => {
    const asks =
      '{"resultType":"input_required","inputRequests":{"a":{"n":1.0}},"requestState":"s"}';
    expect(outcome(response(asks))).toEqual({
      kind: "asked",
      asked: { requests: { a: '{"n":1.0}' }, requestState: '"s"' },
    });
  });

  it.each([
    ['{"params":{"progressToken":7,"progress":1,"message":"m"}}', "m"],
    ['{"params":{"progressToken":7,"progress":1,"total":2}}', "1 of 2"],
    ['{"params":{"progressToken":7,"progress":0.5}}', "0.5"],
    ['{"params":{"progressToken":"7","progress":1}}', undefined],
    ['{"params":{"progress":1}}', undefined],
    ["{}", undefined],
  ])("progress in %s is %j", (text, said) => {
    expect(progressIn(text, "7")).toBe(said);
  });
});

it("the answer to a call has its id, or an alike one; an error may have none", () => {
  const texts = [
    '{"jsonrpc":"2.0","id":8,"result":{}}',
    '{"jsonrpc":"2.0","id":"7","result":{}}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":""}}',
  ];
  const found = texts.map((text) => responseIn(text, "7")?.text);
  expect(found).toEqual([undefined, texts[1], texts[2]]);
  expect(responseIn(`[${texts.join(",")}]`)?.text).toBe(texts[0]);
});
