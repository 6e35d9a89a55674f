import { describe, expect, it } from "vitest";
import {
  ERROR_KINDS,
  errorFromCode,
  SessionError,
  type ErrorCode,
} from "../../../src/core/errors.ts";

describe("errors", () => {
  it.each([
    ["session_not_found", 404, -32001],
    ["session_already_exists", 409, undefined],
    ["invalid_session_type", 400, -32602],
    ["invalid_session_id", 400, -32602],
    ["invalid_request", 400, -32600],
    ["session_disconnected", 503, undefined],
    ["message_channel_full", 503, undefined],
    ["payload_too_large", 413, undefined],
    ["precondition_failed", 412, undefined],
    ["unauthorized", 401, undefined],
    ["forbidden", 403, undefined],
    ["rate_limited", 429, undefined],
    ["unavailable", 503, undefined],
  ] as const)("%s is %i", (code, status, jsonRpcCode) => {
    const error = errorFromCode(code);
    expect(error).toBeInstanceOf(SessionError);
    expect([error.code, error.status, error.jsonRpcCode]).toEqual([code, status, jsonRpcCode]);
    expect(error.message.length).toBeGreaterThan(0);
  });

  it("keep a detail that crossed a boundary", () => {
    for (const code of Object.keys(ERROR_KINDS) as ErrorCode[]) {
      expect(errorFromCode(code, "because").message).toBe("because");
    }
  });
});
