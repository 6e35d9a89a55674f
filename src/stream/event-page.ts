/** A page of a session's events as data, for clients that read the log without a stream. */
import { NATIVE_STREAM, type ResumeVerdict } from "../core/event-id.ts";
import type { EventPage, Gap, PageQuery, PublishedEvent } from "../core/host.ts";
import { MAX_DETAIL_LENGTH, MAX_PAGE_BYTES } from "../core/limits.ts";
import { utf8Length } from "../wire/bytes.ts";
import { shorten } from "../wire/shorten.ts";

/** The log as a page needs it. */
interface ReadableLog {
  readonly beforeFirst: number;
  readonly lastSeq: number;
  idOf(seq: number, stream: number): string;
  resume(lastEventId: string, last: number): ResumeVerdict;
  after(
    stream: number,
    seq: number,
  ): Iterable<{ readonly seq: number; readonly event: string | null; readonly data: string }>;
}

/**
 * Reads a page: up to `limit` events and `MAX_PAGE_BYTES` of them, at least one if there is one.
 * `isTrimmed`: unread events were trimmed. A page from the earliest event then has a `gap`.
 * `endedSeq` is the place of the end of a stream that is complete. Only the page that nothing
 * follows says `ended`, so that a client which reads until then misses nothing.
 */
export function pageOf(
  log: ReadableLog,
  { after, limit }: PageQuery,
  isTrimmed: boolean,
  endedSeq?: number,
): EventPage {
  const verdict = after === undefined ? undefined : log.resume(after, endedSeq ?? log.lastSeq);
  const resumes = verdict?.kind === "resume" && verdict.position.stream === NATIVE_STREAM;
  let through = resumes ? verdict.position.seq : log.beforeFirst;
  const events: PublishedEvent[] = [];
  let bytes = 0;
  for (const { seq, event, data } of log.after(NATIVE_STREAM, through)) {
    bytes += utf8Length(data);
    if (events.length > 0 && bytes > MAX_PAGE_BYTES) break;
    events.push({ id: log.idOf(seq, NATIVE_STREAM), ...(event !== null && { event }), data });
    through = seq;
    // Checked before the next row is read.
    if (events.length >= limit) break;
  }
  const ended = endedSeq !== undefined && through >= log.lastSeq;
  return {
    events,
    lastEventId: log.idOf(ended ? endedSeq : through, NATIVE_STREAM),
    ended,
    ...((after === undefined ? isTrimmed : !resumes) && { gap: gapIn(log, after ?? null) }),
  };
}

/** Whether this page has news for a client that waits for it. */
export function hasNews({ events, ended, gap }: EventPage): boolean {
  return events.length > 0 || ended || gap !== undefined;
}

/**
 * The gap of a page that cannot begin where the client asked, with the first event that is retained.
 * The place is the client's text, which may be anything, so it is cut here: an event's id is shorter.
 */
export function gapIn(
  log: Pick<ReadableLog, "beforeFirst" | "lastSeq" | "idOf">,
  requested: string | null,
): Gap {
  const { beforeFirst, lastSeq } = log;
  const earliest = lastSeq > beforeFirst ? log.idOf(beforeFirst + 1, NATIVE_STREAM) : null;
  return { requested: requested && shorten(requested, MAX_DETAIL_LENGTH), earliest };
}
