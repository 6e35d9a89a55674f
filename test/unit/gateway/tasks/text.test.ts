import { describe, expect, it } from "vitest";
import { messagesIn } from "../../../../src/gateway/json-rpc.ts";
import {
  callToSend,
  outcomeOf,
  progressIn,
  repeated,
  repeatsBegin,
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

  it("is repeated with answers, with the state of this round alone, and under an id of its own", () => {
    const body = '{"id":1,"params":{"requestState":"old","name":"x"}}';
    const answers = { a: '{"n":1.0}', __proto__x: "{}" };
    const begin = repeatsBegin("t");
    expect(JSON.parse(repeated(body, { answers }, begin))).toEqual({
      id: expect.stringMatching(/^holdfast-t-.{8}$/) as string,
      params: { name: "x", inputResponses: { a: { n: 1 }, __proto__x: {} } },
    });
    expect(repeated(body, { answers: {}, requestState: '"new"' }, begin)).toContain(
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
    ...["null", "[1]", '"done"', "7"].map((result): [string, string, object] => [
      `a result that is ${result}`,
      response(result),
      { status: "failed", message: "The upstream's result is no object" },
    ]),
    ...["{}", '{"code":1}', '{"code":"x","message":"m"}', '{"code":1,"message":7}'].map(
      (error): [string, string, object] => [
        `the error ${error}`,
        `{"jsonrpc":"2.0","id":1,"error":${error}}`,
        {
          status: "failed",
          error: '{"code":-32603,"message":"The upstream\'s error is none of JSON-RPC"}',
        },
      ],
    ),
    [
      "a question that is none, beside one that is",
      response('{"resultType":"input_required","inputRequests":{"a":{"method":"m"},"b":5}}'),
      { status: "failed", message: "The upstream asked for something that is no request" },
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
    ['{"params":{"progressToken":7}}', undefined],
    ['{"params":{"progressToken":7,"progress":{"a":1},"total":2}}', undefined],
    ["{}", undefined],
  ])("progress in %s is %j", (text, said) => {
    expect(progressIn(text, "7")).toBe(said);
  });
});

it("the answer to a call has its id, or an alike one; an error may have none", () => {
  const call = { id: "7", repeatsBegin: repeatsBegin("t") };
  const texts = [
    '{"jsonrpc":"2.0","id":"holdfast-u-1","result":{}}',
    '{"jsonrpc":"2.0","id":"holdfast-t-1","result":{}}',
    '{"jsonrpc":"2.0","id":8,"result":{}}',
    '{"jsonrpc":"2.0","id":"7","result":{}}',
    '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":""}}',
  ];
  const found = texts.map((text) => responseIn(text, call)?.text);
  expect(found).toEqual([undefined, texts[1], undefined, texts[3], texts[4]]);
  expect(responseIn(`[${texts.join(",")}]`)?.text).toBe(texts[0]);
});
