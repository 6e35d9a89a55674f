import { expect, it } from "vitest";
import { accepts, isJsonContent } from "../../../src/gateway/request.ts";

const BOTH = ["application/json", "text/event-stream"] as const;

it.each([
  ["application/json, text/event-stream", true],
  ["TEXT/event-stream;q=0.5 , application/JSON", true],
  ["*/*", true],
  ["application/*, text/*", true],
  [null, true],
  ["application/json", false],
  ["text/event-stream", false],
  ["application/json, text/event-stream;q=0", false],
  ["text/html", false],
])("Accept %s: %s", (header, taken) => {
  expect(accepts(header, ...BOTH)).toBe(taken);
});

it.each([
  ["application/json", true],
  ["Application/JSON; charset=utf-8", true],
  ["application/json-rpc", false],
  ["text/plain", false],
  [null, false],
])("Content-Type %s: %s", (header, taken) => {
  expect(isJsonContent(header)).toBe(taken);
});
