/**
 * A session written out, as `/v1` shows it to one caller. It is made where the
 * session is kept and sent on as it is: text crosses RPC for nothing, where a view
 * takes 10 to 14 µs to be taken apart and put together (measured on workerd, November
 * 2026), and would be put into JSON after that all the same.
 */
import type { Caller } from "./caller.ts";
import { GATEWAY_KEYS } from "./content.ts";
import type { SessionView, SessionDocument } from "./host.ts";

/** What a session's object answers as a session: a view, or a document in one string. */
export type Form = "view" | "document";

/**
 * Metadata in which the gateway keeps where an upstream is, and under which id it
 * knows the session: whoever has both can go there past the gateway. They are an
 * admin's to see and to set.
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

/** As one string: a version holds no line feed. */
export function packDocument({ version, json }: SessionDocument): string {
  return `${version}\n${json}`;
}

export function unpackDocument(packed: string): SessionDocument {
  const end = packed.indexOf("\n");
  return { version: packed.slice(0, end), json: packed.slice(end + 1) };
}

/** All but the data. */
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
