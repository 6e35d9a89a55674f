import { expect, it } from "vitest";
import { accepts } from "../../../src/gateway/request.ts";

const BOTH = ["application/json", "text/event-stream"] as const;

it.each([
  ["application/json, text/event-stream", true],
  ["TEXT/event-stream;q=0.5 , application/JSON", true],
  ["*/*", true],
  ["application/*, text/*", true],
  [undefined, true],
  ["application/json-rpc, text/event-stream", true],
  ["application/json", false],
  ["text/event-stream", false],
  ["application/json, text/event-stream;q=0", false],
  ["text/html", false],
  ["application/json, text/event-stream;q=0.0", false],
  ["application/json, text/event-stream; Q = 0.000", false],
  ["application/json, text/event-stream;q=0.001", true],
  ["*/*, text/event-stream;q=0", false],
  ["*/*;q=0, application/json, text/event-stream", true],
  ["text/event-stream, application/*;q=0, */*", false],
  ["text/event-stream;q=0, application/json, text/event-stream", true],
])("Accept %s: %s", (header, taken) => {
  expect(accepts(header, BOTH)).toBe(taken);
});
