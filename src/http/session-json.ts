/** A session as `/v1` writes it, and what `/v1` reads as content. */
import type * as z from "zod";
import type { Config } from "../config.ts";
import type { SessionContent, SessionEntry, SessionPatch, SessionView } from "../session/host.ts";
import { DEFAULT_SESSION_TYPE } from "../session/type.ts";
import type { newSession, session, sessionEntry, sessionPatch } from "./schemas.ts";

export function sessionJson(view: SessionView): z.input<typeof session> {
  return {
    id: view.id,
    type: view.type,
    createdAt: instant(view.createdAt),
    updatedAt: instant(view.updatedAt),
    expiresAt: instant(view.expiresAt),
    ttlSeconds: view.ttlMs / 1000,
    ...(view.maxLifetimeMs > 0 && { maxLifetimeSeconds: view.maxLifetimeMs / 1000 }),
    metadata: view.metadata,
    ...(view.dataJson !== undefined && { data: JSON.parse(view.dataJson) as unknown }),
    ...(view.subject !== undefined && { subject: view.subject }),
    connected: view.writers > 0,
    writers: view.writers,
    ...(view.lastEventId !== undefined && { lastEventId: view.lastEventId }),
  };
}

export function entryJson(entry: SessionEntry): z.input<typeof sessionEntry> {
  return {
    id: entry.id,
    type: entry.type,
    createdAt: instant(entry.createdAt),
    expiresAt: instant(entry.expiresAt),
    ...(entry.subject !== undefined && { subject: entry.subject }),
  };
}

/** RFC 3339, UTC. */
function instant(ms: number): string {
  return new Date(ms).toISOString();
}

export function contentOf(body: z.output<typeof newSession>, config: Config): SessionContent {
  return {
    type: body.type ?? DEFAULT_SESSION_TYPE,
    metadata: body.metadata ?? {},
    ...(body.data !== undefined && { dataJson: JSON.stringify(body.data) }),
    ttlMs: body.ttlSeconds === undefined ? config.sessionTtlMs : milliseconds(body.ttlSeconds),
    maxLifetimeMs:
      body.maxLifetimeSeconds === undefined
        ? config.sessionMaxLifetimeMs
        : milliseconds(body.maxLifetimeSeconds),
    ...(body.subject !== undefined && { subject: body.subject }),
  };
}

export function patchOf(body: z.output<typeof sessionPatch>, config: Config): SessionPatch {
  return {
    ...(body.metadata !== undefined && { metadata: body.metadata }),
    ...(body.data !== undefined && { dataPatchJson: JSON.stringify(body.data) }),
    // RFC 7396: null removes a member, and a session without a TTL of its own has the configured one.
    ...(body.ttlSeconds !== undefined && {
      ttlMs: body.ttlSeconds === null ? config.sessionTtlMs : milliseconds(body.ttlSeconds),
    }),
  };
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}
