/** The variables of access control: their defaults, and refusals that name the variable but not its value. */
import { describe, expect, it } from "vitest";
import { loadAuthSettings } from "../../../src/auth/settings.ts";
import { ConfigError } from "../../../src/config/env.ts";

const HASH = "ab".repeat(32);
const JWT = {
  AUTH: "jwt",
  JWT_ISSUER: "https://idp.example",
  JWT_AUDIENCE: "holdfast",
  JWKS_URL: "https://idp.example/keys",
};
const entry = (change: object = {}) =>
  JSON.stringify([{ sha256: HASH, subject: "alice", scopes: ["mcp"], ...change }]);

it("has defaults that let nobody in from elsewhere", () => {
  expect(loadAuthSettings({})).toEqual({
    method: { kind: "unset" },
    ticketSecrets: [],
    ticketTtlMs: 60_000,
    allowedOrigins: new Set(),
    perSubject: 0,
    perAddress: 0,
    basePath: "",
    credentials: false,
  });
});

it("limits rates once AUTH is set, unless told otherwise", () => {
  expect(loadAuthSettings({ AUTH: "none" })).toMatchObject({
    perSubject: 30_000,
    perAddress: 60_000,
  });
  expect(loadAuthSettings({ AUTH: "none", RATE_LIMIT_PER_SUBJECT: "0" }).perSubject).toBe(0);
  expect(loadAuthSettings({ RATE_LIMIT_PER_ADDRESS: "5" }).perAddress).toBe(5);
});

it("reads lists with commas or as JSON", () => {
  const secret = "s".repeat(32);
  for (const [origins, hosts, secrets] of [
    ["https://a.example, http://b.example:8080", "A.example,b.example:80", `${secret},${secret}2`],
    [
      '["https://a.example","http://b.example:8080"]',
      '["a.example","b.example"]',
      JSON.stringify([secret, `${secret}2`]),
    ],
  ] as const) {
    const settings = loadAuthSettings({
      ALLOWED_ORIGINS: origins,
      ALLOWED_HOSTS: hosts,
      TICKET_SECRET: secrets,
    });
    expect(settings.allowedOrigins).toEqual(
      new Set(["https://a.example", "http://b.example:8080"]),
    );
    expect(settings.allowedHosts).toEqual(new Set(["a.example", "b.example"]));
    expect(settings.ticketSecrets).toEqual([secret, `${secret}2`]);
  }
});

it("takes API_TOKENS as wrangler gives a JSON variable", () => {
  const { method } = loadAuthSettings({
    AUTH: "token",
    API_TOKENS: JSON.parse(entry()) as unknown,
  });
  expect(method).toEqual({
    kind: "token",
    tokens: [{ sha256: HASH, subject: "alice", scopes: ["mcp"] }],
  });
});

describe("refuses", () => {
  it.each([
    ["AUTH", { AUTH: "hunter2" }],
    ["API_TOKENS", { AUTH: "token" }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: "hunter2" }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: "[]" }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: entry({ sha256: "hunter2" }) }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: entry({ subject: "" }) }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: entry({ subject: "\ud800x" }) }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: entry({ scopes: ["everything"] }) }],
    ["API_TOKENS", { AUTH: "token", API_TOKENS: entry({ secret: "hunter2" }) }],
    ["JWT_ISSUER", { ...JWT, JWT_ISSUER: "" }],
    ["JWT_AUDIENCE", { ...JWT, JWT_AUDIENCE: undefined }],
    ["JWKS_URL", { ...JWT, JWKS_URL: "http://idp.example/keys" }],
    ["JWKS_URL", { ...JWT, JWKS_URL: "https://a:hunter2@idp.example/keys" }],
    ["TICKET_SECRET", { TICKET_SECRET: "hunter2" }],
    [
      "TICKET_SECRET",
      { TICKET_SECRET: ["hunter2".repeat(5), "b".repeat(32), "c".repeat(32)].join() },
    ],
    ["TICKET_TTL_SECONDS", { TICKET_TTL_SECONDS: "0" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "*" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://a.example/path" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "null" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "[1]" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "app://hunter2@a" }],
    ["PUBLIC_URL", { PUBLIC_URL: "app://a.example" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "https://a.example" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "*" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "a.example, *.example" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: '["a.example", "*:8080"]' }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "%2A" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "\uff0a.example" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: "[]" }],
    ["ALLOWED_HOSTS", { ALLOWED_HOSTS: " , " }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://%2A.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "https://*.example" }],
    ["ALLOWED_ORIGINS", { ALLOWED_ORIGINS: "chrome-extension://*" }],
    ["PUBLIC_URL", { PUBLIC_URL: "https://*" }],
    ["JWT_ISSUER", { ...JWT, JWT_ISSUER: "https://idp.example#hunter2" }],
    ["JWT_ISSUER", { ...JWT, JWT_ISSUER: "hunter2#" }],
    ["PUBLIC_URL", { PUBLIC_URL: "https://a.example/path" }],
    ["RATE_LIMIT_PER_SUBJECT", { RATE_LIMIT_PER_SUBJECT: "-1" }],
    ["RATE_LIMIT_PER_ADDRESS", { RATE_LIMIT_PER_ADDRESS: "many" }],
  ])("a bad %s in %o, by name and without its value", (name, env) => {
    let message = "";
    try {
      loadAuthSettings(env);
    } catch (failure) {
      expect(failure).toBeInstanceOf(ConfigError);
      message = (failure as Error).message;
    }
    expect(message).toMatch(new RegExp(`^${name} must be`));
    expect(message).not.toContain("hunter2");
  });
});
