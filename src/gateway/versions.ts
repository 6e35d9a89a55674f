/** The protocol revisions, and what differs between them here. */

/** Revisions that keep a session, oldest first. */
const SESSION_VERSIONS: readonly string[] = [
  "2024-11-05",
  "2025-03-26",
  "2025-06-18",
  "2025-11-25",
];

const FIRST_STATELESS = "2026-07-28";

export function isSessionVersion(version: string): boolean {
  return SESSION_VERSIONS.includes(version);
}

/** A revision without sessions, known or yet to come: versions are dates, so they sort. */
export function isModernVersion(version: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(version) && version >= FIRST_STATELESS;
}

/** Batches were in 2025-03-26 and were taken out of the revision after it. */
export function refusesBatches(version: string): boolean {
  return version >= "2025-06-18";
}

/**
 * Whether clients of this revision expect a stream to open with an event that has an id and empty
 * data. Older ones try to read the empty data as JSON.
 */
export function readsEmptyEvents(version: string | undefined): boolean {
  return version !== undefined && version >= "2025-11-25";
}

/** What the gateway offers when it has to initialize an upstream by itself. */
export const NEWEST_SESSION_VERSION = "2025-11-25";
