/**
 * A session written out as JSON, as `/v1` shows it to one caller. The session's object writes it
 * and the Worker sends it on: text crosses RPC for nothing, while a view costs 10 to 14 µs there
 * (measured on workerd, November 2026) and would become JSON after that all the same.
 */
import type { Caller } from "./caller.ts";
import { GATEWAY_KEYS } from "./content.ts";
import type { SessionView, SessionDocument } from "./host.ts";

/** The form in which a session's object returns a session: a view, or a document in one string. */
export type Form = "view" | "document";

/**
 * Metadata in which the gateway keeps the upstream's address and its id for the session. A caller
 * with both could go there past the gateway, so only an admin may see or set them.
 */
export const BACKEND_KEYS: readonly string[] = [GATEWAY_KEYS.backendUrl, GATEWAY_KEYS.backendSid];

export function documentOf(view: SessionView, caller: Caller): SessionDocument {
  const json = JSON.stringify(members(view, caller));
  const { version, dataJson } = view;
  // The data are JSON already, and may be large.
  return {
    version,
    json: dataJson === undefined ? json : `${json.slice(0, -1)},"data":${dataJson}}`,
  };
}

/** Packs a document into one string: a version holds no line feed. */
export function packDocument({ version, json }: SessionDocument): string {
  return `${version}\n${json}`;
}

export function unpackDocument(packed: string): SessionDocument {
  const end = packed.indexOf("\n");
  return { version: packed.slice(0, end), json: packed.slice(end + 1) };
}

/** Everything but the data. */
function members(view: SessionView, caller: Caller) {
  return {
    id: view.id,
    type: view.type,
    createdAt: instant(view.createdAt),
    updatedAt: instant(view.updatedAt),
    expiresAt: instant(view.expiresAt),
    ttlSeconds: view.ttlMs / 1000,
    ...(view.maxLifetimeMs > 0 && { maxLifetimeSeconds: view.maxLifetimeMs / 1000 }),
    metadata: caller.admin ? view.metadata : withoutBackend(view.metadata),
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

/** RFC 3339, UTC. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}
