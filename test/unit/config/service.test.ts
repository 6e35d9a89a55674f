import { describe, expect, expectTypeOf, it } from "vitest";
import { CONFIG_VARIABLES, loadConfig } from "../../../src/config/service.ts";
import { ConfigError, text, type Environment } from "../../../src/config/env.ts";

describe("loadConfig", () => {
  it("fills in the documented defaults, and is frozen", () => {
    const { upstreams: _, ...config } = loadConfig({});
    expect(config).toEqual({
      sessionTtlMs: 7_200_000,
      sessionMaxLifetimeMs: 0,
      keepaliveMs: 15_000,
      queueCapacity: 10_000,
      logMaxEvents: 10_000,
      logMaxBytes: 4_194_304,
      eventMaxBytes: 1_048_576,
      streamBufferBytes: 1_048_576,
      bodyMaxBytes: 4_194_304,
      maxWriters: 32,
      directoryShards: 8,
      maxSessionsPerSubject: 0,
      maxTasksPerOwner: 1000,
      logLevel: "info",
      location: {},
      logRequests: false,
    });
    expect(Object.isFrozen(loadConfig({}))).toBe(true);
  });

  it("takes fractional seconds, and an empty variable for an unset one", () => {
    expect(loadConfig({ SESSION_TTL_SECONDS: "0.5" }).sessionTtlMs).toBe(500);
    expect(loadConfig({ SESSION_TTL_SECONDS: "" }).sessionTtlMs).toBe(7_200_000);
    expect(loadConfig({ SESSION_MAX_LIFETIME_SECONDS: "0" }).sessionMaxLifetimeMs).toBe(0);
  });

  it.each([
    ["SESSION_TTL_SECONDS", "0.05"],
    ["SESSION_TTL_SECONDS", "two hours"],
    ["SESSION_TTL_SECONDS", "-1"],
    ["SESSION_TTL_SECONDS", "1e3"],
    ["SESSION_MAX_LIFETIME_SECONDS", "0.01"],
    ["KEEPALIVE_SECONDS", "0"],
    ["QUEUE_CAPACITY", "1.5"],
    ["LOG_MAX_EVENTS", "0"],
    ["LOG_MAX_BYTES", "4MiB"],
    ["EVENT_MAX_BYTES", "99999999"],
    ["STREAM_BUFFER_BYTES", "1"],
    ["BODY_MAX_BYTES", "Infinity"],
    ["BODY_MAX_BYTES", "16777217"],
    ["LOG_LEVEL", "verbose"],
  ])("refuses %s=%s, naming the variable and what was expected", (name, value) => {
    expect(() => loadConfig({ [name]: value })).toThrow(ConfigError);
    expect(() => loadConfig({ [name]: value })).toThrow(new RegExp(`^${name} must be .*, not "`));
  });

  it("reads no variable that it does not declare", () => {
    const asked = new Set<string>();
    loadConfig(new Proxy({}, { get: (_, name) => void asked.add(String(name)) }));
    expect([...asked].toSorted()).toEqual([...CONFIG_VARIABLES].toSorted());
  });
});

it("does not compile where the name of a variable is misspelt", () => {
  const read = (env: Environment<"HOST" | "PORT">) => text<"HOST" | "PORT">(env, "PORT");
  expect(read({ PORT: " 80 " })).toBe("80");
  expectTypeOf(text<"HOST" | "PORT">)
    .parameter(1)
    .toEqualTypeOf<"HOST" | "PORT">();
});
