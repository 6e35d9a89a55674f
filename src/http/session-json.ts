/** A session as `/v1` writes it, and what `/v1` reads as content. */
import type * as z from "zod";
import type { Config } from "../config.ts";
import type { Caller } from "../session/caller.ts";
import { SessionError } from "../session/errors.ts";
import { GATEWAY_KEYS } from "../session/exchange.ts";
import type { SessionContent, SessionEntry, SessionPatch, SessionView } from "../session/host.ts";
import { DEFAULT_SESSION_TYPE } from "../session/type.ts";
import type { newSession, session, sessionEntry, sessionPatch } from "./schemas.ts";

/**
 * Metadata in which the gateway keeps where an upstream is, and under which id it
 * knows the session: whoever has both can go there past the gateway. They are an
 * admin's to see and to set.
 */
const BACKEND_KEYS: readonly string[] = [GATEWAY_KEYS.backendUrl, GATEWAY_KEYS.backendSid];

export function sessionJson(view: SessionView, caller: Caller): z.input<typeof session> {
  return {
    id: view.id,
    type: view.type,
    createdAt: instant(view.createdAt),
    updatedAt: instant(view.updatedAt),
    expiresAt: instant(view.expiresAt),
    ttlSeconds: view.ttlMs / 1000,
    ...(view.maxLifetimeMs > 0 && { maxLifetimeSeconds: view.maxLifetimeMs / 1000 }),
    metadata: caller.admin ? view.metadata : withoutBackend(view.metadata),
    ...(view.dataJson !== undefined && { data: JSON.parse(view.dataJson) as unknown }),
    ...(view.subject !== undefined && { subject: view.subject }),
    connected: view.writers > 0,
    writers: view.writers,
    ...(view.lastEventId !== undefined && { lastEventId: view.lastEventId }),
  };
}

function withoutBackend(metadata: SessionView["metadata"]): SessionView["metadata"] {
  if (!BACKEND_KEYS.some((key) => key in metadata)) return metadata;
  return Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !BACKEND_KEYS.includes(key)),
  );
}

/** Throws a SessionError (`forbidden`) where the caller names metadata that are not its own to set. */
export function refuseBackend(
  caller: Caller,
  metadata: Readonly<Record<string, unknown>> | null | undefined,
): void {
  if (caller.admin || !metadata) return;
  const key = BACKEND_KEYS.find((one) => Object.hasOwn(metadata, one));
  if (key !== undefined) {
    throw new SessionError("forbidden", `metadata.${key}: only an admin may set it.`);
  }
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
    maxLifetimeMs: lifetime(body.maxLifetimeSeconds, config.sessionMaxLifetimeMs),
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

/** The operator's bound holds whatever a session asks for: it can be shorter, and neither longer nor none. */
function lifetime(seconds: number | undefined, mostMs: number): number {
  const asked = milliseconds(seconds ?? 0);
  if (asked === 0 || mostMs === 0) return asked || mostMs;
  return Math.min(asked, mostMs);
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}
