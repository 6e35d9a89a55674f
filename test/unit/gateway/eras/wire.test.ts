import { describe, expect, it } from "vitest";
import {
  decodedHeader,
  encodedHeader,
  missingIn,
  nameIn,
  neededFor,
} from "../../../../src/gateway/eras/wire.ts";

describe("a text in a header", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["echo", "echo"],
    ["with a space", "with a space"],
    ["", "=?base64??="],
    [" edge ", "=?base64?IGVkZ2Ug?="],
    ["café", "=?base64?Y2Fmw6k=?="],
    ["a\nb", "=?base64?YQpi?="],
    ["=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="],
    ["\ufeffbom", "=?base64?77u/Ym9t?="],
  ];

  it.each(cases)("writes %j as %j, and reads it back", (text, header) => {
    expect(encodedHeader(text)).toBe(header);
    expect(decodedHeader(header)).toBe(text);
  });

  it.each(["=?base64?YQ?=", "=?base64?Y Q=?=", "=?base64?//8=?="])("does not read %j", (header) => {
    expect(decodedHeader(header)).toBeUndefined();
  });

  it("reads a plain value without the blanks around it", () => {
    expect(decodedHeader(" \techo\t ")).toBe("echo");
  });
});

describe("the name of a request", () => {
  it.each([
    ["tools/call", { name: "echo" }, "echo"],
    ["prompts/get", { name: "greet" }, "greet"],
    ["resources/read", { uri: "file:///a" }, "file:///a"],
    ["tasks/get", { taskId: "t1" }, "t1"],
    ["tools/call", { name: 7 }, undefined],
    ["tools/list", { name: "echo" }, undefined],
    ["constructor", {}, undefined],
    ["tools/call", undefined, undefined],
  ])("of %s with %j is %j", (method, params, name) => {
    expect(nameIn(method, params)).toBe(name);
  });
});

describe("the capabilities that a question needs", () => {
  it.each([
    ["elicitation/create", { message: "?" }, { elicitation: { form: {} } }],
    ["elicitation/create", { mode: "url", url: "x" }, { elicitation: { url: {} } }],
    ["sampling/createMessage", { messages: [] }, { sampling: {} }],
    ["sampling/createMessage", { tools: [] }, { sampling: { tools: {} } }],
    ["roots/list", undefined, { roots: {} }],
    ["ping", {}, undefined],
  ])("of %s with %j are %j", (method, params, needed) => {
    expect(neededFor(method, params)).toEqual(needed);
  });

  it.each([
    [undefined, { roots: {} }, { roots: {} }],
    [{}, { sampling: { tools: {} } }, { sampling: { tools: {} } }],
    [{ sampling: {} }, { sampling: {} }, undefined],
    [{ sampling: {} }, { sampling: { tools: {} } }, { sampling: { tools: {} } }],
    [{ elicitation: {} }, { elicitation: { form: {} } }, undefined],
    [{ elicitation: { applyDefaults: true } }, { elicitation: { form: {} } }, undefined],
    [{ elicitation: {} }, { elicitation: { url: {} } }, { elicitation: { url: {} } }],
    [{ elicitation: { url: {} } }, { elicitation: { form: {} } }, { elicitation: { form: {} } }],
    [{ roots: true }, { roots: {} }, { roots: {} }],
  ])("that %j lacks of %j are %j", (declared, needed, missing) => {
    expect(missingIn(declared, needed)).toEqual(missing);
  });
});
