/** An entry of a listing as `/v1` writes it, and what `/v1` reads as content. */
import type * as z from "zod";
import type { Config } from "../config.ts";
import type { Caller } from "../session/caller.ts";
import { BACKEND_KEYS, instant } from "../session/document.ts";
import { SessionError } from "../session/errors.ts";
import type { SessionContent, SessionEntry, SessionPatch } from "../session/host.ts";
import { DEFAULT_SESSION_TYPE } from "../session/type.ts";
import type { newSession, sessionEntry, sessionPatch } from "./schemas.ts";

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
