/**
 * A session written out as JSON, as `/v1` shows it to one caller. The session's object writes it
 * and the Worker sends it on: text crosses RPC for nothing, while a view costs 10 to 14 µs there
 * (measured on workerd, November 2026) and would become JSON after that all the same.
 */
import type { Caller } from "./caller.ts";
import { GATEWAY_KEYS } from "./content.ts";
import { seqOf } from "./event-id.ts";
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
  const { dataJson } = view;
  // The data are JSON already, and may be large, so they are not parsed and written again.
  return {
    tag: tagOf(view, caller),
    json: dataJson === undefined ? json : `${json.slice(0, -1)},"data":${dataJson}}`,
  };
}

/**
 * The entity tag of a document: `EPOCH.REVISION.STATE.DEADLINE`. It changes with every byte of the
 * body, so it is a strong one, and its parts tell what has changed. The end of a stream moves its
 * last event id, so STATE covers that too.
 */
function tagOf(view: SessionView, caller: Caller): string {
  const last = view.lastEventId === undefined ? 0 : seqOf(view.lastEventId);
  // Two bodies with the same content differ by the metadata that only an admin sees.
  const whole = caller.admin && hasBackend(view.metadata) ? "a" : "";
  return `${view.version}.${view.writers}-${last}${whole}.${Math.trunc(view.expiresAt).toString(36)}`;
}

/** The part of a tag that changes with the content. The condition of a write compares nothing else. */
export function contentOfTag(tag: string): string {
  return tag.split(".", 2).join(".");
}

/** A tag without its deadline. A read moves the deadline itself; the rest differs only if another call changed the session. */
export function stateOfTag(tag: string): string {
  return tag.split(".", 3).join(".");
}

/** Packs a document into one string: a tag holds no line feed. */
export function packDocument({ tag, json }: SessionDocument): string {
  return `${tag}\n${json}`;
}

export function unpackDocument(packed: string): SessionDocument {
  const end = packed.indexOf("\n");
  return { tag: packed.slice(0, end), json: packed.slice(end + 1) };
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
    overflow: view.overflow,
    ended: view.ended,
  };
}

function withoutBackend(metadata: SessionView["metadata"]): SessionView["metadata"] {
  if (!hasBackend(metadata)) return metadata;
  return Object.fromEntries(
    Object.entries(metadata).filter(([key]) => !BACKEND_KEYS.includes(key)),
  );
}

function hasBackend(metadata: SessionView["metadata"]): boolean {
  return BACKEND_KEYS.some((key) => key in metadata);
}

/** RFC 3339, UTC. */
export function instant(ms: number): string {
  return new Date(ms).toISOString();
}
