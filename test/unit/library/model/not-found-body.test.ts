import { describe, expect, it } from "vitest";
import {
  hasJsonRpcId,
  notFoundBody,
  notFoundResponse,
} from "../../../../src/library/model/not-found-body.ts";

const WITHOUT_ID = '{"error":{"code":-32001,"message":"Session not found"},"jsonrpc":"2.0"}';

describe("notFoundBody", () => {
  it("has ToolHive's bytes", () => {
    expect(notFoundBody(7)).toBe(
      '{"error":{"code":-32001,"message":"Session not found"},"id":7,"jsonrpc":"2.0"}',
    );
  });

  it("has an id of 0, for 0 is an id", () => {
    expect(JSON.parse(notFoundBody(0))).toHaveProperty("id", 0);
  });

  it.each([undefined, null, NaN, { rawJson: "null" }, { rawJson: "" }])(
    "has no id for %j",
    (id) => {
      expect(hasJsonRpcId(id)).toBe(false);
      expect(notFoundBody(id)).toBe(WITHOUT_ID);
    },
  );

  it("escapes a string id as Go does, and keeps a raw one as it is", () => {
    expect(notFoundBody("<a>")).toContain(String.raw`"id":"\u003ca\u003e"`);
    expect(notFoundBody({ rawJson: "9007199254740993" })).toContain('"id":9007199254740993,');
  });

  it("is answered as JSON with status 404", async () => {
    const response = notFoundResponse("x");
    expect(response.status).toBe(404);
    expect(response.headers.get("content-type")).toBe("application/json");
    expect(await response.json()).toHaveProperty("id", "x");
  });
});
