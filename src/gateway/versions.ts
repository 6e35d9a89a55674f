/** MCP's protocol revisions, and the differences between them that the gateway knows. */

/** The revisions with sessions, oldest first. */
export const SESSION_VERSIONS: readonly string[] = [
  "2024-11-05",
  "2025-03-26",
  "2025-06-18",
  "2025-11-25",
];

export const FIRST_STATELESS = "2026-07-28";

export function isSessionVersion(version: string): boolean {
  return SESSION_VERSIONS.includes(version);
}

/** Whether a revision has no sessions. Versions are dates, so this covers later ones too. */
export function isModernVersion(version: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(version) && version >= FIRST_STATELESS;
}

/** Revision 2025-06-18 took JSON-RPC batches out of MCP. */
export function refusesBatches(version: string): boolean {
  return version >= "2025-06-18";
}

/**
 * Whether clients of this revision expect a stream to open with an event that has an id and empty
 * data. Older clients try to read the empty data as JSON.
 */
export function readsEmptyEvents(version: string | undefined): boolean {
  return version !== undefined && version >= "2025-11-25";
}

/** The version that the gateway offers when it initializes an upstream by itself. */
export const NEWEST_SESSION_VERSION = "2025-11-25";

/** A message whose `_meta` has this key is of the stateless era (MCP 2026-07-28). */
export const VERSION_META_KEY = "io.modelcontextprotocol/protocolVersion";
