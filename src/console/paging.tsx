/** One page of sessions at a time, with the ways to the next and the one before. */
import { useState } from "preact/hooks";
import { list, messageOf, type Filter } from "./api.ts";
import { useRepeated } from "./hooks.ts";
import type { SessionEntry } from "../core/api.ts";

/** Milliseconds after which a page is read again. */
const REFRESH_MS = 5000;
export const PAGE_SESSIONS = 25;

export interface Listing {
  /** Undefined until the first answer. */
  readonly sessions: readonly SessionEntry[] | undefined;
  readonly isPartial: boolean;
  readonly failure: string | undefined;
  /** Undefined where there is no such page. */
  readonly older: (() => void) | undefined;
  readonly newer: (() => void) | undefined;
  readonly page: number;
  /** Reads the page again. */
  readonly again: () => void;
}

/** `also`: done with each page that was read. */
export function useListing(
  filter: Filter,
  also: (sessions: readonly SessionEntry[], signal: AbortSignal) => Promise<void>,
): Listing {
  /** The cursors of the pages up to this one; that of the first is undefined. */
  const [cursors, setCursors] = useState<readonly (string | undefined)[]>([undefined]);
  const [asked, setAsked] = useState(0);
  const [answer, setAnswer] = useState<Awaited<ReturnType<typeof list>>>();
  const [failure, setFailure] = useState<string>();
  const cursor = cursors.at(-1);
  useRepeated(REFRESH_MS, [filter.subject, filter.type, cursor, asked], async (signal) => {
    try {
      const page = await list(filter, cursor, PAGE_SESSIONS);
      if (signal.aborted) return;
      setAnswer(page);
      setFailure(undefined);
      await also(page.sessions, signal);
    } catch (failure) {
      if (!signal.aborted) setFailure(messageOf(failure));
    }
  });
  const next = answer?.cursor;
  return {
    sessions: answer?.sessions,
    isPartial: answer?.partial === true,
    failure,
    older: next === undefined ? undefined : () => setCursors([...cursors, next]),
    newer: cursors.length === 1 ? undefined : () => setCursors(cursors.slice(0, -1)),
    page: cursors.length,
    again: () => setAsked(asked + 1),
  };
}

export function Pager({ listing }: { readonly listing: Listing }) {
  const { older, newer, page, isPartial, failure } = listing;
  return (
    <>
      {failure !== undefined && (
        <p class="notice bad" role="alert">
          {failure}
        </p>
      )}
      {isPartial && (
        <p class="notice bad">A part of the directory does not answer: there may be more.</p>
      )}
      {(older ?? newer) && (
        <nav class="row" aria-label="Pages">
          <button type="button" disabled={!newer} onClick={newer}>
            Newer
          </button>
          <span>Page {page}</span>
          <button type="button" disabled={!older} onClick={older}>
            Older
          </button>
        </nav>
      )}
    </>
  );
}
