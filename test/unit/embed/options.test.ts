/** Options in code: each is a variable, is checked as one, and is named by its own name. */
import { describe, expect, expectTypeOf, it } from "vitest";
import { AUTH_VARIABLES, loadAuthSettings } from "../../../src/auth/settings.ts";
import { CONFIG_VARIABLES, loadConfig } from "../../../src/config/service.ts";
import {
  codeSettingsOf,
  environmentWith,
  namingOptions,
  serversIn,
  type HoldfastOptions,
  type VariableOptions,
} from "../../../src/embed/options.ts";

/** Everything that the service makes of options over an environment. */
const load = (options: object, env: Readonly<Record<string, string>> = {}) =>
  namingOptions(options, () => {
    const environment = environmentWith(env, options);
    const code = codeSettingsOf(options);
    return { ...loadConfig(environment), ...loadAuthSettings(environment, code) };
  });

const FACTORY: () => number = () => 1;

const ALL: Required<VariableOptions> = {
  sessionTtlSeconds: 0.5,
  sessionMaxLifetimeSeconds: 60,
  keepaliveSeconds: 5,
  queueCapacity: 7,
  logMaxEvents: 8,
  logMaxBytes: 9,
  eventMaxBytes: 10,
  streamBufferBytes: 2048,
  bodyMaxBytes: 12,
  maxWriters: 13,
  upstreams: { default: { url: "https://mcp.example/mcp" } },
  directoryShards: 3,
  maxSessionsPerSubject: 14,
  maxTasksPerOwner: 18,
  logLevel: "error",
  jurisdiction: "eu",
  locationHint: "weur",
  logRequests: true,
  auth: "token",
  apiTokens: [{ sha256: "ab".repeat(32), subject: "ada", scopes: ["mcp"] }],
  jwtIssuer: "https://idp.example",
  jwtAudience: "holdfast",
  jwksUrl: "https://idp.example/keys",
  ticketSecret: ["a".repeat(32), "b".repeat(32)],
  ticketTtlSeconds: 15,
  publicUrl: "https://app.example",
  allowedOrigins: ["https://page.example"],
  allowedHosts: ["app.example"],
  rateLimitPerSubject: 16,
  rateLimitPerAddress: 17,
};

describe("options", () => {
  it("are one for each variable, and reach what the service makes of it", () => {
    const environment = environmentWith({}, ALL);
    expect(Object.keys(environment).toSorted()).toEqual(
      [...CONFIG_VARIABLES, ...AUTH_VARIABLES].toSorted(),
    );
    expect(load(ALL)).toMatchObject({
      sessionTtlMs: 500,
      maxWriters: 13,
      upstreams: { default: { urls: ["https://mcp.example/mcp"] } },
      method: { kind: "token", tokens: [{ subject: "ada" }] },
      ticketSecrets: ["a".repeat(32), "b".repeat(32)],
      allowedOrigins: new Set(["https://page.example"]),
    });
    expect(load({ ...ALL, auth: "jwt" }).method).toEqual({
      kind: "jwt",
      issuer: "https://idp.example",
      audience: "holdfast",
      jwksUrl: "https://idp.example/keys",
    });
  });

  it("win over the environment, which counts where they are absent", () => {
    const env = {
      SESSION_TTL_SECONDS: "1",
      MAX_WRITERS: "2",
      ALLOWED_ORIGINS: "https://a.example",
    };
    const options = { sessionTtlSeconds: 3, maxWriters: undefined, allowedOrigins: [] };
    expect(load(options, env)).toMatchObject({
      sessionTtlMs: 3000,
      maxWriters: 2,
      allowedOrigins: new Set(),
    });
    // The very object: without options nothing is copied for each of the objects.
    expect(environmentWith(env, {})).toBe(env);
  });

  it.each([
    [
      { sessionTtlSeconds: 0 },
      'sessionTtlSeconds must be a number of seconds from 0.1 to 31536000, not "0"',
    ],
    [{ sessionTtlSeconds: NaN }, "sessionTtlSeconds must be JSON, not NaN"],
    [{ maxWriters: 1.5 }, 'maxWriters must be a whole number from 1 to 10000, not "1.5"'],
    [{ logLevel: "loud" }, 'logLevel must be one of debug, info, warn, error, not "loud"'],
    [{ auth: "basic" }, "auth must be token, jwt or none"],
    [{ auth: "jwt" }, "JWT_ISSUER must be set where AUTH is jwt"],
    [{ ticketSecret: "short" }, /^ticketSecret must be one secret of at least 32 characters/],
    [{ allowedOrigins: ["*"] }, /^allowedOrigins must be a list of origins/],
    [
      { upstreams: { default: {} } },
      "upstreams default: must have either url or replicas, or binding",
    ],
    [
      { upstreams: { default: { server: {} } } },
      "upstreams default: server must be a function, given to createHoldfast",
    ],
    [
      { upstreams: { default: { server: FACTORY, url: "https://a.example" } } },
      "upstreams default: has no option url beside server; there are server, callSeconds",
    ],
    [
      { upstreams: { default: { server: FACTORY, callSeconds: 0 } } },
      "upstreams default: callSeconds must be from 0.05 to 86400",
    ],
    [{ upstreams: { default: { url: () => 1 } } }, "upstreams: url must be JSON, not a function"],
    [{ basePath: "live" }, 'basePath must be a path such as /live, not "live"'],
    [{ basePath: "/live/" }, 'basePath must be a path such as /live, not "/live/"'],
    [{ cors: { credentials: "yes" } }, "cors must be an object with credentials, true or false"],
    [{ cors: true }, "cors must be an object with credentials, true or false"],
    [{ cors: { credential: true } }, /^cors must be an object with credentials.*nothing else$/],
    [{ basePath: "/live/../a" }, 'basePath must be a path such as /live, not "/live/../a"'],
    [{ basePath: "/." }, 'basePath must be a path such as /live, not "/."'],
    [{ upstreams: [] }, "upstreams must be an object, name to upstream"],
    [{ authenticate: "cookie" }, "authenticate must be a function of a request and env"],
    [
      { sesionTtlSeconds: 1 },
      /^sesionTtlSeconds is no option of createHoldfast: it has sessionTtl/,
    ],
  ] as const)("%o is refused by name", (options, message) => {
    expect(() => load(options)).toThrow(message);
  });

  it.each([[null], ["live"], [[]]])("%j are none", (options) => {
    // Code without types may give anything.
    expect(() => load(options as object)).toThrow("createHoldfast takes an object of options");
  });

  it.each([[null], ["https://mcp.example/mcp"], [5]])("%j is no upstream", (one) => {
    const upstreams = { default: one } as unknown as VariableOptions["upstreams"];
    expect(serversIn({ upstreams }, {}).size).toBe(0);
    expect(() => load({ upstreams })).toThrow(/^upstreams default: must be/);
  });

  it("may have dots within a part of basePath", () => {
    expect(load({ basePath: "/v1.2/.live/a.." }).basePath).toBe("/v1.2/.live/a..");
  });

  it("name a variable where the environment is what is wrong", () => {
    expect(() => load({ maxWriters: 1 }, { LOG_MAX_BYTES: "x" })).toThrow(/^LOG_MAX_BYTES must be/);
  });

  it("leave AUTH no say beside a function that authenticates", () => {
    const authenticate = () => null;
    expect(load({ authenticate }).method).toEqual({ kind: "own" });
    expect(() => load({ authenticate }, { AUTH: "none" })).toThrow(/^AUTH must be unset/);
    expect(() => load({ authenticate, auth: "none" })).toThrow(/^auth must be unset/);
  });
});

it("the options have one place each in the type", () => {
  // An option without a place in the type, or a place without an option, does not compile.
  expectTypeOf<keyof HoldfastOptions>().toEqualTypeOf<
    keyof VariableOptions | "authenticate" | "basePath" | "cors"
  >();
});
