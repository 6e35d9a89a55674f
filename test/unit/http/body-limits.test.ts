import { expect, it } from "vitest";
import { ROUTES } from "../../../src/app.ts";
import { loadConfig } from "../../../src/config/service.ts";
import { MAX_DATA_BYTES, MAX_METADATA_BYTES } from "../../../src/core/limits.ts";
import { bodyLimitOf } from "../../../src/http/route.ts";

const limitOf = (operationId: string, env: Record<string, string> = {}) => {
  const route = ROUTES.find((one) => one.operationId === operationId);
  if (!route) throw new Error(`there is no ${operationId}`);
  return bodyLimitOf(route, loadConfig(env));
};

const OPERATOR = (maxBytes: number) => ({ maxBytes, name: "BODY_MAX_BYTES" });

it.each(["createSession", "putSession", "patchSession"])("%s: what a session may hold", (one) => {
  const session = { maxBytes: 2_818_048, name: "what a session may hold, in bytes of JSON" };
  expect(limitOf(one)).toEqual(session);
  expect(limitOf(one, { BODY_MAX_BYTES: "16777216" })).toEqual(session);
  expect(limitOf(one, { BODY_MAX_BYTES: "1000" })).toEqual(OPERATOR(1000));
});

it("a session of nothing but characters that JSON may write as six bytes fits", () => {
  const escaped = "\\u00e9".repeat(MAX_DATA_BYTES / 2 - 1);
  const label = "\\u00e9".repeat(MAX_METADATA_BYTES / 2 - 10);
  const body = `{"metadata":{"a":"${label}"},"data":"${escaped}"}`;
  expect(body.length).toBeLessThan(limitOf("createSession").maxBytes);
});

it("a publish: a hundred events, and BODY_MAX_BYTES where that is less", () => {
  expect(limitOf("publishEvents")).toEqual(OPERATOR(4_194_304));
  const small = { EVENT_MAX_BYTES: "1000" };
  expect(limitOf("publishEvents", small).maxBytes).toBe(665_536);
  expect(limitOf("endStream", small).maxBytes).toBe(71_536);
  // An event of control characters alone, each six bytes of JSON, and a hundred of them.
  const events = Array.from({ length: 100 }, () => ({ data: "\u001b".repeat(1000) }));
  expect(JSON.stringify(events).length).toBeLessThan(665_536);
});

it("no route with a body takes more than it has a use for", () => {
  const most = loadConfig({ BODY_MAX_BYTES: "16777216", EVENT_MAX_BYTES: "1" });
  const withBody = ROUTES.filter(({ body }) => body);
  expect(withBody.length).toBeGreaterThan(4);
  for (const route of withBody) {
    expect(bodyLimitOf(route, most).maxBytes).toBeLessThan(3_000_000);
  }
});
