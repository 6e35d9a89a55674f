import { env } from "cloudflare:workers";
import { afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { sessionsIn, type ObjectNamespace } from "../../../src/entries/durable-object.ts";
import { decodeSession, encodeSession } from "../../../src/library/model/codec.ts";
import { SessionNotFoundError } from "../../../src/core/errors.ts";
import { newSessionId, ProxySession } from "../../../src/library/model/session.ts";
import {
  DurableObjectStorage,
  type DurableObjectStorageOptions,
} from "../../../src/library/storage/durable-object.ts";
import { describeStorage } from "../../contract/storage-contract.ts";
import { withRecordingDirectory } from "../../support/recording-directory.ts";

// wrangler.toml binds both.
const { SESSIONS, DIRECTORY } = env as unknown as Record<"SESSIONS" | "DIRECTORY", ObjectNamespace>;
const sessions = sessionsIn(SESSIONS, DIRECTORY);

// The first use of an object loads the whole Worker, which on a busy machine takes longer than a storage waits.
beforeAll(async () => {
  await expect(sessions.read(newSessionId(), false)).rejects.toThrow(SessionNotFoundError);
});
afterEach(() => {
  vi.useRealTimers();
});

// Listed from what each test wrote: the real directory is asked below.
describeStorage("DurableObjectStorage", async (ttlMs) => {
  const ownSessions = withRecordingDirectory(sessions);
  vi.useFakeTimers({ toFake: ["Date"] });
  return {
    storage: new DurableObjectStorage({ sessions: ownSessions, ttlMs }),
    // The objects run in this isolate, so they see its clock.
    age: async (_id, ms) => void vi.setSystemTime(Date.now() + ms),
  };
});

describe("DurableObjectStorage", () => {
  const storage = new DurableObjectStorage({ sessions, ttlMs: 60_000 });

  it("says that it needs a directory, instead of counting none", async () => {
    const unlisted = new DurableObjectStorage({ sessions: sessionsIn(SESSIONS), ttlMs: 60_000 });
    await expect(unlisted.count()).rejects.toMatchObject({ code: "unavailable" });
    await expect(unlisted.page()).rejects.toMatchObject({ code: "unavailable" });
  });

  it("says that a part of the directory did not answer, instead of counting the rest", async () => {
    const partial = Object.assign(Object.create(sessions) as typeof sessions, {
      count: async () => ({ count: 1, partial: true as const }),
      list: async () => ({ sessions: [], partial: true as const }),
    });
    const storage = new DurableObjectStorage({ sessions: partial, ttlMs: 60_000 });
    await expect(storage.count()).rejects.toThrow(/part of the directory/);
    await expect(storage.page()).rejects.toThrow(/part of the directory/);
  });

  it("refuses an id that is not a UUID", async () => {
    await expect(storage.load("abc")).rejects.toMatchObject({ code: "invalid_session_id" });
  });

  it("keeps createdAt to the nanosecond when the service changes the session, and drops the old updatedAt", async () => {
    const id = newSessionId();
    const json = `{"id":"${id}","type":"mcp","created_at":"2026-08-21T10:26:05.123456789Z","updated_at":"2026-08-21T10:26:05.123456789Z"}`;
    await storage.store(decodeSession(json));
    await sessions.patch(id, { metadata: { a: "1" } });
    const loaded = await storage.load(id);
    expect(loaded?.createdAtText).toBe("2026-08-21T10:26:05.123456789Z");
    expect(loaded?.updatedAt.getTime()).toBeGreaterThan(Date.parse("2026-11-01"));
    expect(loaded && encodeSession(loaded)).toContain('"metadata":{"a":"1"}');
  });

  it("a session with an old creation time lives its whole TTL, as expiry does not look at it", async () => {
    const id = newSessionId();
    await storage.store(decodeSession(`{"id":"${id}","type":"mcp"}`));
    expect((await storage.load(id))?.createdAtText).toBe("0001-01-01T00:00:00Z");
  });

  it("refuses content over its bounds by name", async () => {
    const session = new ProxySession(newSessionId());
    session.setData("x".repeat(1024 * 1024));
    await expect(storage.store(session)).rejects.toMatchObject({ code: "payload_too_large" });
  });

  it("reports objects that fail as a failure, never as absence", async () => {
    const failing = () => Promise.reject(new Error("the object is gone"));
    const broken = new DurableObjectStorage({
      sessions: hostOf(failing),
      ttlMs: 1000,
    });
    const session = new ProxySession(newSessionId());
    await expect(broken.load(session.id)).rejects.toThrow("gone");
    await expect(broken.create(session)).rejects.toThrow("gone");
    await expect(broken.update(session)).rejects.toThrow("gone");
  });

  it("ends a call to an object that never answers", async () => {
    const never = () => new Promise<never>(() => {});
    const stuck = new DurableObjectStorage({
      sessions: hostOf(never),
      ttlMs: 1000,
      timeoutMs: 20,
    });
    await expect(stuck.load(newSessionId())).rejects.toMatchObject({ status: 503 });
  });
});

/** A host each of whose methods does the same. */
function hostOf(method: () => Promise<never>): DurableObjectStorageOptions["sessions"] {
  return {
    create: method,
    read: method,
    upsert: method,
    delete: method,
    list: method,
    count: method,
  };
}
