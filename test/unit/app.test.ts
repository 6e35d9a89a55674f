/** The app over a host that fails: failure is 503, never absence, and says nothing of its cause. */
import { describe, expect, it, vi } from "vitest";
import { createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/service.ts";
import { UnavailableError } from "../../src/core/errors.ts";
import type { GatewayHost, GatewaySessions } from "../../src/gateway/contract.ts";

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
const SECRET = "redis://user:hunter2@10.0.0.5";

/** A host whose every method fails in this way. */
function failingHost(failure: () => Error): GatewayHost {
  const fail = () => Promise.reject(failure());
  const sessions = new Proxy({} as GatewaySessions, { get: () => fail });
  return { as: () => sessions, list: fail, count: fail, revoke: fail };
}

interface Call {
  readonly method: string;
  readonly path: string;
  readonly body?: object;
}

const CALLS: readonly Call[] = [
  { method: "POST", path: "/v1/sessions", body: {} },
  { method: "GET", path: `/v1/sessions/${ID}` },
  { method: "PUT", path: `/v1/sessions/${ID}`, body: {} },
  { method: "PATCH", path: `/v1/sessions/${ID}`, body: {} },
  { method: "DELETE", path: `/v1/sessions/${ID}` },
  { method: "POST", path: `/v1/sessions/${ID}/events`, body: { data: 1 } },
  { method: "GET", path: `/v1/sessions/${ID}/events` },
  { method: "HEAD", path: `/v1/sessions/${ID}/events` },
  { method: "POST", path: `/v1/sessions/${ID}/disconnect` },
  { method: "POST", path: `/v1/sessions/${ID}/tickets` },
  { method: "GET", path: "/v1/sessions" },
  { method: "GET", path: "/v1/sessions/count" },
  { method: "DELETE", path: "/v1/sessions?subject=alice" },
];

describe.each([
  ["cannot reach its backend", () => new UnavailableError(undefined, { cause: new Error(SECRET) })],
  ["has a bug", () => new TypeError(SECRET)],
])("a host that %s", (_how, failure) => {
  it.each(CALLS)("$method $path answers 503 unavailable", async ({ method, path, body }) => {
    const lines: string[] = [];
    const spy = vi
      .spyOn(console, "log")
      .mockImplementation((line: string) => void lines.push(line));
    const app = createApp(failingHost(failure), loadConfig({}));
    const response = await app.request(path, {
      method,
      ...(body !== undefined && {
        body: JSON.stringify(body),
        headers: { "content-type": "application/json" },
      }),
    });
    spy.mockRestore();
    expect(response.status).toBe(503);
    const text = await response.text();
    if (method !== "HEAD")
      expect(JSON.parse(text)).toMatchObject({ code: "unavailable", status: 503 });
    expect(text).not.toContain("hunter2");
    expect(lines.map((line) => (JSON.parse(line) as { level: string }).level)).not.toContain(
      "info",
    );
  });
});
