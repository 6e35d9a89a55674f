/** All sessions: filtered, counted, page by page; and the revocation of a subject. */
import { useState } from "preact/hooks";
import { count, revoke, type About, type Filter } from "./api.ts";
import { useNow } from "./hooks.ts";
import { Pager, useListing } from "./paging.tsx";
import { Cards, Confirmed, Heading, NoticeLine, SessionCell, useActions } from "./parts.tsx";
import { Overview, useScrapes } from "./plot.tsx";
import { SESSION_TYPES } from "./session-types.ts";
import { clock, many, span } from "./words.ts";

interface Counts {
  readonly all: number;
  readonly byType: readonly (readonly [type: string, count: number])[];
}

async function countAll(filter: Filter): Promise<Counts> {
  const types = filter.type === "" ? SESSION_TYPES : [filter.type];
  const byType = await Promise.all(
    types.map(async (type) => [type, (await count({ ...filter, type })).count] as const),
  );
  return { all: byType.reduce((sum, [, one]) => sum + one, 0), byType };
}

/** The address of a page with a filter. */
function addressOf(filter: Filter): string {
  const set = Object.entries(filter).filter(([, value]) => value !== "");
  return set.length === 0 ? "#/" : `#/?${new URLSearchParams(set).toString()}`;
}

interface Props {
  readonly filter: Filter;
  readonly about: About;
}

export function SessionsPage({ filter, about }: Props) {
  const now = useNow();
  const scrapes = useScrapes(about.hasMetrics);
  const [counts, setCounts] = useState<Counts>();
  const listing = useListing(filter, async (_sessions, signal) => {
    const counted = await countAll(filter);
    if (!signal.aborted) setCounts(counted);
  });
  const { sessions } = listing;
  return (
    <>
      <Heading>Sessions</Heading>
      {about.hasMetrics ? (
        <Overview {...scrapes} />
      ) : (
        <p>
          This service has no /metrics, so there is no plot: on Cloudflare, see Analytics Engine.
        </p>
      )}
      <Filters filter={filter} />
      <p id="counts" role="status">
        {counts &&
          `${many(counts.all, "session")}: ${counts.byType.map(([type, n]) => `${n} ${type}`).join(", ")}`}
      </p>
      {sessions?.length === 0 && <p>No session fits.</p>}
      {sessions && sessions.length > 0 && (
        <Cards label="Sessions" columns={["Session", "Type", "Subject", "Made", "Time left"]}>
          {sessions.map(({ id, type, subject, createdAt, expiresAt }) => (
            <tr key={id}>
              <SessionCell id={id} />
              <td data-label="Type">{type}</td>
              <td class="long" data-label="Subject">
                {subject === undefined ? (
                  <span class="faint">nobody</span>
                ) : (
                  <a href={addressOf({ ...filter, subject })}>{subject}</a>
                )}
              </td>
              <td data-label="Made">{clock(createdAt)}</td>
              <td class="number" data-label="Time left">
                {span(Date.parse(expiresAt) - now)}
              </td>
            </tr>
          ))}
        </Cards>
      )}
      <Pager listing={listing} />
      <Revoke initial={filter.subject} onRevoked={listing.again} />
    </>
  );
}

function Filters({ filter }: { readonly filter: Filter }) {
  const [subject, setSubject] = useState(filter.subject);
  const [type, setType] = useState(filter.type);
  const [id, setId] = useState("");
  return (
    <div class="row">
      <form
        class="row"
        aria-label="Filter"
        onSubmit={(event) => {
          event.preventDefault();
          location.hash = addressOf({ subject, type });
        }}
      >
        <label>
          Subject
          <input
            name="subject"
            value={subject}
            onInput={({ currentTarget }) => setSubject(currentTarget.value)}
          />
        </label>
        <label>
          Type
          <select
            name="type"
            value={type}
            onChange={({ currentTarget }) => setType(currentTarget.value)}
          >
            <option value="">all</option>
            {SESSION_TYPES.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </label>
        <button class="first">Filter</button>
        {filter.subject + filter.type !== "" && <a href="#/">Show all</a>}
      </form>
      <form
        class="row"
        aria-label="Open a session"
        onSubmit={(event) => {
          event.preventDefault();
          location.hash = `#/session/${encodeURIComponent(id.trim())}`;
        }}
      >
        <label>
          Session’s id
          <input
            name="id"
            required
            value={id}
            onInput={({ currentTarget }) => setId(currentTarget.value)}
          />
        </label>
        <button>Open</button>
      </form>
    </div>
  );
}

interface RevokeProps {
  readonly initial: string;
  readonly onRevoked: () => void;
}

function Revoke({ initial, onRevoked }: RevokeProps) {
  const [subject, setSubject] = useState(initial);
  const { notice, isBusy, run } = useActions();
  const confirmed = async () => {
    const isDone = await run(async () => {
      const { deleted, partial } = await revoke(subject);
      const rest = partial ? " A part of the directory does not answer: do it again later." : "";
      return `${many(deleted, "session")} of ${subject} ended.${rest}`;
    });
    if (isDone) onRevoked();
  };
  return (
    <section aria-labelledby="revoke">
      <h2 id="revoke">Revoke a subject</h2>
      <p>Ends every session of the subject, and its streams.</p>
      <form class="row" onSubmit={(event) => event.preventDefault()}>
        <label>
          Subject to revoke
          <input
            name="revoked"
            value={subject}
            onInput={({ currentTarget }) => setSubject(currentTarget.value)}
          />
        </label>
        <Confirmed
          label="Revoke"
          question={`End every session of ${subject}? Nobody can undo that.`}
          disabled={isBusy || subject === ""}
          onConfirm={() => void confirmed()}
        />
      </form>
      <NoticeLine notice={notice} />
    </section>
  );
}
