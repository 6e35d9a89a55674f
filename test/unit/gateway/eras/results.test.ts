import { describe, expect, it } from "vitest";
import {
  askedIn,
  plainNotification,
  plainResult,
  questionsOf,
} from "../../../../src/gateway/eras/results.ts";

const response = (result: string) => `{"jsonrpc":"2.0","id":1,"result":${result}}`;

describe("a result for a client of the revisions with sessions", () => {
  it.each([
    ['{"resultType":"complete","content":[],"n":1.0}', '{"content":[],"n":1.0}'],
    ['{"content":[],"resultType":"complete"}', '{"content":[]}'],
    ['{ "resultType" : "complete" }', "{ }"],
    ['{"a":1 , "resultType":"complete" }', '{"a":1 }'],
    ['{"_meta":{"io.modelcontextprotocol/serverInfo":{"name":"s"}},"a":1}', '{"a":1}'],
    ['{"_meta":{"x":1,"io.modelcontextprotocol/serverInfo":{}},"a":1}', '{"_meta":{"x":1},"a":1}'],
    ['{"content":[{"resultType":"complete"}]}', '{"content":[{"resultType":"complete"}]}'],
    ['{"_meta":{"x":1}}', '{"_meta":{"x":1}}'],
    ["null", "null"],
  ])("%s becomes %s", (result, plain) => {
    expect(plainResult(response(result))).toBe(response(plain));
  });

  it.each(['"task"', '"input_required"', "null"])("of the type %s is an error", (type) => {
    const error = { code: -32603, message: expect.stringContaining(type) as string };
    const plain = plainResult(response(`{"resultType":${type},"content":[]}`));
    expect(JSON.parse(plain)).toEqual({ jsonrpc: "2.0", id: 1, error });
  });

  it("an error stays as it is", () => {
    const error = '{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"resultType"}}';
    expect(plainResult(error)).toBe(error);
  });

  it("a notification loses the mark of its subscription", () => {
    const note = (params: string) => `{"jsonrpc":"2.0","method":"n","params":${params}}`;
    const mark = '"io.modelcontextprotocol/subscriptionId":"s"';
    expect(plainNotification(note(`{"uri":"u","_meta":{${mark}}}`))).toBe(note('{"uri":"u"}'));
    expect(plainNotification(note(`{"_meta":{"x":1,${mark}}}`))).toBe(note('{"_meta":{"x":1}}'));
    expect(plainNotification('{"method":"n"}')).toBe('{"method":"n"}');
  });
});

describe("a result that asks", () => {
  const asking = (rest: string) => response(`{"resultType":"input_required"${rest}}`);

  it("is read with its parameters as they were written", () => {
    const one = '{"method":"elicitation/create","params":{"n":1.0}}';
    expect(askedIn(asking(`,"inputRequests":{"a":${one}},"requestState":"s"`))).toEqual({
      requests: [{ key: "a", method: "elicitation/create", params: '{"n":1.0}' }],
      state: "s",
    });
  });

  it.each([
    [response('{"content":[{"text":"input_required"}]}')],
    [response('{"resultType":"complete","x":"input_required"}')],
    ['{"jsonrpc":"2.0","id":1,"error":{"message":"input_required"}}'],
  ])("%s does not ask", (text) => {
    expect(askedIn(text)).toBeUndefined();
  });

  let n = 0;
  const questions = (rest: string, capabilities: Record<string, unknown> = {}) => {
    n = 0;
    const asked = askedIn(asking(rest));
    if (!asked) throw new Error("it does not ask");
    return questionsOf(asked, "7", capabilities, () => `q${++n}`);
  };
  const of = (method: string, params?: unknown) =>
    `,"inputRequests":${JSON.stringify({ k: { method, params } })}`;

  it("becomes requests to the client with ids of their own", () => {
    const all = `,"inputRequests":{"a":{"method":"roots/list"},"b":{"method":"sampling/createMessage","params":{"x":1.0}}}`;
    expect(questions(all, { roots: {}, sampling: {} })).toEqual({
      kind: "asked",
      questions: [
        { id: '"q1"', key: "a" },
        { id: '"q2"', key: "b" },
      ],
      texts: [
        '{"jsonrpc":"2.0","id":"q1","method":"roots/list"}',
        '{"jsonrpc":"2.0","id":"q2","method":"sampling/createMessage","params":{"x":1.0}}',
      ],
    });
  });

  it("gives an elicitation by URL the id that 2025-11-25 demands", () => {
    const url = of("elicitation/create", { mode: "url", url: "https://x", message: "m" });
    const verdict = questions(url, { elicitation: { url: {} } });
    expect(verdict).toMatchObject({ texts: [expect.stringContaining('"elicitationId":"q1"')] });
  });

  it.each([
    ["elicitation/create", { message: "?" }, {}, { elicitation: { form: {} } }],
    ["elicitation/create", { mode: "url" }, { elicitation: {} }, { elicitation: { url: {} } }],
    ["sampling/createMessage", { tools: [] }, { sampling: {} }, { sampling: { tools: {} } }],
    ["roots/list", undefined, { sampling: {} }, { roots: {} }],
  ])("for %s of %j is refused by %j", (method, params, has, requiredCapabilities) => {
    const verdict = questions(of(method, params), has);
    const answer = verdict.kind === "refused" ? (JSON.parse(verdict.answer) as unknown) : verdict;
    expect(answer).toMatchObject({
      id: 7,
      error: { code: -32021, data: { requiredCapabilities } },
    });
  });

  it.each([[of("tools/call")], [""], [',"inputRequests":{"k":3}'], [',"inputRequests":{}']])(
    "%s is nothing that a client answers",
    (rest) => {
      const verdict = questions(rest);
      const answer = verdict.kind === "refused" ? (JSON.parse(verdict.answer) as unknown) : verdict;
      expect(answer).toMatchObject({ id: 7, error: { code: -32603 } });
    },
  );
});
