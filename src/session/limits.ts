/**
 * Every fixed bound, with its unit and its reason. What an operator may change
 * is in `config.ts` instead.
 */

/** Events in one publish: an array is one atomic write, and this keeps it short. */
export const MAX_EVENTS_PER_PUBLISH = 100;

/** Characters in an event's name: names are labels; this keeps frames small. */
export const MAX_EVENT_NAME_LENGTH = 256;

/** Names of the frames that the service itself sends on a stream; publishing under them would forge one. */
export const RESERVED_EVENT_NAMES: readonly string[] = ["gap", "expired", "deleted"];

/** Metadata keys in a session: metadata is a label map, read and written whole. */
export const MAX_METADATA_KEYS = 256;

/** UTF-8 bytes of a session's metadata as JSON. */
export const MAX_METADATA_BYTES = 256 * 1024;

/** UTF-8 bytes of a session's data as JSON: one stored value holds at most 2 MiB. */
export const MAX_DATA_BYTES = 1024 * 1024;

/** Levels of nesting in a JSON body: deeper ones are attacks on a recursive reader. */
export const MAX_JSON_DEPTH = 64;

/** Characters in a subject: issuer and subject of a token fit (each at most 2,048 in practice far less). */
export const MAX_SUBJECT_LENGTH = 1024;

/** Shortest TTL, in milliseconds: below this the alarm's own latency dominates. */
export const MIN_TTL_MS = 100;

/** Longest TTL and lifetime, in milliseconds: one year. Longer is not a session. */
export const MAX_TTL_MS = 365 * 24 * 60 * 60 * 1000;

/** Bytes of replay sent at once to a writer that is behind; it asks for the next page when it has drained. */
export const REPLAY_PAGE_BYTES = 256 * 1024;

/** Milliseconds before a client reconnects; a spread of as much again keeps 200 of them from coming at once. */
export const RETRY_MS = 1000;

/** Characters in a request's URL: an id, a ticket and a resume position fit several times over. */
export const MAX_URL_LENGTH = 8192;

/** Bytes of all request headers: what common HTTP servers take, and room for a large access token. */
export const MAX_HEADER_BYTES = 32 * 1024;
