/** Pages of other origins: the headers that a browser lets them send and read, and their schemes. */
import { describe, expect, it } from "vitest";
import { loadAuthSettings } from "../../src/auth/settings.ts";
import { guardedApp, tokenApp } from "../support/guarded-app.ts";

const PAGE = "https://app.example";

function preflight(app: ReturnType<typeof guardedApp>, origin: string, headers: string) {
  return app.request("http://localhost/v1/sessions", {
    method: "OPTIONS",
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": headers,
    },
  });
}

const namesIn = (list: string | null) =>
  (list ?? "").split(",").map((name) => name.trim().toLowerCase());

it("any request header is allowed to a page that is", async () => {
  const app = guardedApp({ ALLOWED_ORIGINS: PAGE });
  const asked = ["authorization", "idempotency-key", "traceparent", "x-anything", "mcp-param-x"];
  const { headers } = await preflight(app, PAGE, asked.join(","));
  expect(namesIn(headers.get("access-control-allow-headers"))).toEqual(
    expect.arrayContaining(asked),
  );
  expect(namesIn(headers.get("vary"))).toEqual(
    expect.arrayContaining(["origin", "access-control-request-headers"]),
  );
  const stranger = await preflight(app, "https://evil.example", "traceparent");
  expect(stranger.headers.get("access-control-allow-headers")).toBeNull();
});

it("a page may read what answers say of themselves", async () => {
  const app = guardedApp({ ALLOWED_ORIGINS: PAGE });
  const { headers } = await app.request("http://localhost/v1/sessions", {
    method: "POST",
    headers: { origin: PAGE },
  });
  expect(namesIn(headers.get("access-control-expose-headers"))).toEqual(
    expect.arrayContaining([
      "location",
      "etag",
      "retry-after",
      "idempotency-replayed",
      "mcp-session-id",
      "www-authenticate",
    ]),
  );
});

const OTHER_SCHEMES = [
  "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
  "moz-extension://2c127fa4-62c7-7e4f-90e5-472b45eecfdc",
  "vscode-file://vscode-app",
  "tauri://localhost",
  "app://.",
  "app://obsidian.md",
];

describe("origins of other schemes", () => {
  it.each(OTHER_SCHEMES)("%s can be allowed", async (origin) => {
    const app = guardedApp({ AUTH: "none", ALLOWED_ORIGINS: `${PAGE},${origin}` });
    const { headers } = await preflight(app, origin, "content-type");
    expect(headers.get("access-control-allow-origin")).toBe(origin);
    const made = await app.request("http://sessions.example/v1/sessions", {
      method: "POST",
      headers: { origin },
    });
    expect([made.status, made.headers.get("access-control-allow-origin")]).toEqual([201, origin]);
  });

  it.each(OTHER_SCHEMES)("%s is refused where it is not listed", async (origin) => {
    const app = guardedApp({ AUTH: "none", ALLOWED_ORIGINS: PAGE });
    expect(
      (await app.request("http://localhost/v1/sessions", { headers: { origin } })).status,
    ).toBe(403);
  });

  it.each([
    "null",
    "*",
    "chrome-extension://",
    "tauri://localhost/path",
    "app://a@b",
    "javascript:1",
    "file://",
    "app://a b",
  ])("ALLOWED_ORIGINS does not take %s", (value) => {
    expect(() => loadAuthSettings({ ALLOWED_ORIGINS: value })).toThrow(/^ALLOWED_ORIGINS /);
  });
});

it("a ticket's url is whole: PUBLIC_URL's origin, else the request's", async () => {
  for (const [variables, origin] of [
    [{}, "http://sessions.example:8080"],
    [{ PUBLIC_URL: "https://sessions.example" }, "https://sessions.example"],
  ] as const) {
    const { app, headers } = await tokenApp(
      { all: ["s", ["sessions:write", "events:subscribe"]] },
      { TICKET_SECRET: "s".repeat(32), ...variables },
    );
    const base = "http://sessions.example:8080/v1/sessions";
    const made = await app.request(base, { method: "POST", headers: headers["all"]! });
    const { id } = (await made.json()) as { id: string };
    const ticket = await app.request(`${base}/${id}/tickets`, {
      method: "POST",
      headers: headers["all"]!,
    });
    const { url } = (await ticket.json()) as { url: string };
    expect(url.startsWith(`${origin}/v1/sessions/${id}/events?ticket=`)).toBe(true);
  }
});
