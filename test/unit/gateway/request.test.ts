import { expect, it } from "vitest";
import { accepts } from "../../../src/gateway/request.ts";

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
  expect(accepts(header, BOTH)).toBe(taken);
});
