/** Over a host that fails the app answers 503, never 404, and does not show the cause. */
import { describe, expect, it, vi } from "vitest";
import { createApp, ROUTES } from "../../src/app.ts";
import { createAccess } from "../../src/auth/access.ts";
import { loadAuthSettings } from "../../src/auth/settings.ts";
import { loadConfig } from "../../src/config/service.ts";
import { UnavailableError } from "../../src/core/errors.ts";
import type { SessionDocument, Sessions } from "../../src/core/host.ts";
import { PUBLIC, UNGUARDED } from "../../src/http/route.ts";
import type { GatewayHost, GatewaySessions } from "../../src/gateway/contract.ts";

const ID = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";
const SECRET = "redis://user:hunter2@10.0.0.5";

/** A host whose methods all fail. */
function failingHost(failure: () => Error): GatewayHost {
  const fail = () => Promise.reject(failure());
  const sessions = new Proxy({} as GatewaySessions & Sessions<SessionDocument>, {
    get: () => fail,
  });
  return {
    as: () => sessions,
    documents: () => sessions,
    list: fail,
    count: fail,
    revoke: fail,
    checks: { storage: fail, directory: fail },
  };
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

/** Calls every handler of the app without a credential. Only those with a public description may serve it. */
it("serves a stranger nothing that it has mounted, but what is described as public", async () => {
  const fail = () => {
    throw new Error("nothing is to be asked for");
  };
  const host = new Proxy({} as GatewayHost, { get: () => fail });
  const entry = { sha256: "0".repeat(64), subject: "alice", scopes: ["admin"] };
  const settings = loadAuthSettings({ AUTH: "token", API_TOKENS: JSON.stringify([entry]) });
  const app = createApp(host, loadConfig({}), createAccess(settings));
  const open = ROUTES.filter(({ scope }) => scope === PUBLIC || scope === UNGUARDED);
  const served = new Map<string, number>();
  for (const { method, path } of app.routes) {
    const url = path.replace(/:\w+/g, ID).replaceAll("*", "anything");
    const response = await app.request(url.replace(/^(?!\/)/, "/"), {
      method: method === "ALL" ? "POST" : method,
    });
    served.set(`${method} ${path}`, response.status);
  }
  const mounted = [...served].filter(([, status]) => status !== 401).map(([route]) => route);
  expect(mounted.toSorted()).toEqual(
    open
      .map(
        ({ method, path, pathsBelow }) =>
          `${method.toUpperCase()} ${path}${pathsBelow ? "/*" : ""}`,
      )
      .toSorted(),
  );
  expect(served.size).toBeGreaterThan(ROUTES.length);
});
