/** Reads a session's events as JSON, for scripts, servers and tests that do not speak SSE. */
import { parseAccept } from "hono/utils/accept";
import type { EventPage, PageQuery, Sessions } from "../../core/host.ts";
import type { SessionId } from "../../core/id.ts";
import { hasNews } from "../../stream/event-page.ts";

/** Headers of a page. */
export const PAGE_HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-store",
};

/** Tells caches that the answer depends on the request's Accept: a stream or a page. */
export const VARY = { vary: "Accept" };

/**
 * Whether a client gets a page instead of a stream: its Accept names JSON, and ranks it above a
 * stream. A client that accepts everything gets a stream.
 */
export function prefersJson(accept: string | undefined): boolean {
  if (accept === undefined) return false;
  const ranges = parseAccept(accept);
  const quality = (type: string): number =>
    Math.max(0, ...ranges.filter((range) => range.type.toLowerCase() === type).map(({ q }) => q));
  return quality("application/json") > quality("text/event-stream");
}

/** Reads a page. If it would be empty, waits up to `waitMs` milliseconds for an event or the end. */
export async function readPage(
  sessions: Sessions,
  id: SessionId,
  query: PageQuery,
  waitMs: number,
): Promise<EventPage> {
  const page = await sessions.readEvents(id, query);
  if (waitMs === 0 || hasNews(page)) return page;
  await sessions.awaitEvents(id, page.lastEventId, waitMs);
  return sessions.readEvents(id, query);
}
