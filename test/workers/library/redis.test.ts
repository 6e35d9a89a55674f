/** The differences of Redis in workerd, and the things that must be the same there. */
import { describe, expect, inject, it } from "vitest";
import { ProxySession } from "../../../src/library/model/session.ts";
import { currentRuntime, type RedisOptions } from "../../../src/library/storage/redis/config.ts";
import { RedisStorage } from "../../../src/library/storage/redis/storage.ts";
import { SessionManager } from "../../../src/library/session-manager.ts";

const PEM = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
const addr = inject("redisAddr");
/** Of servers from which nothing is expected, unless they are asked with the slow ones. */
const timeouts = { dialTimeoutMs: 300, readTimeoutMs: 150, writeTimeoutMs: 150 };
/** All three, and what a busy machine adds: a call that hangs takes longer. */
const LONGEST_CALL_MS = 600 + 10_000;
const connect = (options: Partial<RedisOptions>) =>
  RedisStorage.connect({ keyPrefix: "workerd:", ttlMs: 60_000, ...timeouts, ...options });

describe("Redis in workerd", () => {
  it("knows where it is", () => {
    expect(currentRuntime()).toBe("workerd");
  });

  it("refuses, when made, what the runtime cannot do", async () => {
    const withCa = connect({ addr, tls: { caCert: PEM } });
    await expect(withCa).rejects.toThrow(/caCert cannot be honoured in workerd/);
    const unverified = connect({ addr, tls: { insecureSkipVerify: true } });
    await expect(unverified).rejects.toThrow(/insecureSkipVerify cannot be honoured in workerd/);
  });

  it("does not connect where the certificate is not publicly trusted", async () => {
    const connecting = connect({ addr: inject("redisTlsAddr"), tls: {} });
    await expect(connecting).rejects.toMatchObject({ code: "unavailable" });
  });

  it("fails within the timeouts where nobody listens, or nobody answers", async () => {
    for (const gone of ["127.0.0.1:1", inject("silentAddr")]) {
      const started = performance.now();
      await expect(connect({ addr: gone })).rejects.toMatchObject({ code: "unavailable" });
      expect(performance.now() - started).toBeLessThan(LONGEST_CALL_MS);
    }
  });

  it("carries many calls at once on one connection, and a manager over it", async () => {
    const manager = new SessionManager({ storage: await connect({ addr, ...slow }) });
    const sessions = Array.from({ length: 200 }, () => new ProxySession(crypto.randomUUID()));
    await Promise.all(sessions.map((session) => manager.add(session)));
    const loaded = await Promise.all(sessions.map(({ id }) => manager.get(id)));
    expect(loaded.every(Boolean)).toBe(true);
    await manager.stop();
  });
});

/** Two hundred calls at once on a busy machine are not what the short timeouts are for. */
const slow = { dialTimeoutMs: 5000, readTimeoutMs: 3000, writeTimeoutMs: 3000 };
