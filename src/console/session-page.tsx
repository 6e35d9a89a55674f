/** One session, live: what it is, its events as they come, and what an operator does to it. */
import { useState } from "preact/hooks";
import { disconnect, endStream, messageOf, publish, read, readEvents, remove } from "./api.ts";
import { statusOf } from "./api.ts";
import { useNow, useRepeated } from "./hooks.ts";
import { Confirmed, Heading, NoticeLine, Scrolling, useActions } from "./parts.tsx";
import { clock, many, span } from "./words.ts";
import type { EventPage, PublishedEvent, Session } from "../core/api.ts";

/** Milliseconds between two looks at the session. */
const LOOK_MS = 1000;
/** Events that are kept; older ones go. */
const MAX_EVENTS = 500;
/** Characters of a value that are shown at once. */
const MAX_SHOWN = 400;

interface Log {
  readonly events: readonly PublishedEvent[];
  /** Events are missing before the first. */
  readonly isCut: boolean;
  readonly lastEventId: string | undefined;
}

const EMPTY: Log = { events: [], isCut: false, lastEventId: undefined };

function extended(log: Log, { events, gap, lastEventId }: EventPage): Log {
  const all = [...log.events, ...events];
  const isCut = log.isCut || gap !== undefined || all.length > MAX_EVENTS;
  return { events: all.slice(-MAX_EVENTS), isCut, lastEventId };
}

export function SessionPage({ id }: { readonly id: string }) {
  const [session, setSession] = useState<Session>();
  const [log, setLog] = useState<Log>(EMPTY);
  const [failure, setFailure] = useState<string>();
  const [isGone, setGone] = useState(false);
  const { notice, isBusy, run } = useActions();
  useRepeated(LOOK_MS, [isGone], async (signal) => {
    if (isGone) return;
    try {
      const seen = await read(id, signal);
      setSession(seen);
      let { lastEventId } = log;
      // The session's last event id tells whether there is anything to read.
      while (lastEventId === undefined || lastEventId !== (seen.lastEventId ?? lastEventId)) {
        const page = await readEvents(id, lastEventId, signal);
        setLog((log) => extended(log, page));
        ({ lastEventId } = page);
        if (page.events.length === 0) break;
      }
      setFailure(undefined);
    } catch (failure) {
      if (signal.aborted) return;
      setFailure(messageOf(failure));
      if ([400, 404].includes(statusOf(failure) ?? 0)) setGone(true);
    }
  });
  const removed = async () => {
    // Looks at the session no more, which would say that it is not there.
    setGone(true);
    const isDone = await run(async () => {
      await remove(id);
      return "Deleted. Its readers got `deleted`.";
    });
    if (!isDone) setGone(false);
    else setFailure(undefined);
  };
  const act = (work: () => Promise<unknown>, said: string) =>
    void run(async () => {
      await work();
      return said;
    });
  return (
    <>
      <p>
        <a href="#/">All sessions</a>
      </p>
      <Heading>
        Session <code>{id}</code>
      </Heading>
      {failure !== undefined && (
        <p class="notice bad" role="alert">
          {failure}
        </p>
      )}
      <NoticeLine notice={notice} />
      {session && (
        <div class="session">
          <Facts session={session} isGone={isGone} />
          {!isGone && (
            <div class="row" role="group" aria-label="Actions">
              <button
                type="button"
                disabled={isBusy}
                onClick={() =>
                  act(() => disconnect(id), "Disconnected. Nothing is taken until a reader comes.")
                }
              >
                Disconnect readers
              </button>
              <Confirmed
                label="End stream"
                question="End the stream? Nothing can be published to it afterwards."
                disabled={isBusy || session.ended}
                onConfirm={() => act(() => endStream(id), "The stream has ended.")}
              />
              <Confirmed
                label="Delete session"
                question="Delete the session, its events and its streams? Nobody can undo that."
                disabled={isBusy}
                onConfirm={() => void removed()}
              />
            </div>
          )}
          <div class="columns">
            <Events log={log} />
            <div>
              {!isGone && !session.ended && (
                <Publish
                  isBusy={isBusy}
                  onPublish={(event) =>
                    run(async () => {
                      const { writers } = await publish(id, event);
                      return `Published, with ${many(writers, "reader")} attached.`;
                    })
                  }
                />
              )}
              <Content session={session} />
            </div>
          </div>
        </div>
      )}
    </>
  );
}

function Facts({ session, isGone }: { readonly session: Session; readonly isGone: boolean }) {
  const now = useNow();
  const left = Date.parse(session.expiresAt) - now;
  const state = isGone ? "gone" : session.ended ? "stream ended" : "live";
  const facts: readonly (readonly [string, string])[] = [
    ["State", state],
    ["Time left", isGone ? "—" : span(left)],
    ["Readers", String(session.writers)],
    ["Type", session.type],
    ["Subject", session.subject ?? "nobody"],
    ["Made", clock(session.createdAt)],
    ["Changed", clock(session.updatedAt)],
    ["Lifetime", span(session.ttlSeconds * 1000)],
    ...(session.maxLifetimeSeconds === undefined
      ? []
      : [["At most", span(session.maxLifetimeSeconds * 1000)] as const]),
    ["When full", session.overflow],
  ];
  return (
    <dl class="tiles">
      {facts.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd class="long">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

function Events({ log: { events, isCut } }: { readonly log: Log }) {
  return (
    <section aria-labelledby="events">
      <h2 id="events">Events</h2>
      {events.length === 0 && <p>None yet.</p>}
      <div class="events" role="log" aria-label="Events, newest first" tabIndex={0}>
        <ol>
          {events.toReversed().map(({ id, event, data }) => (
            <li key={id}>
              <p>
                <strong>{event ?? "message"}</strong> <code class="faint">{id}</code>
              </p>
              <Text text={data} />
            </li>
          ))}
        </ol>
      </div>
      {isCut && <p class="faint">Earlier events are not shown, or no longer retained.</p>}
    </section>
  );
}

/** A value; a long one opens on demand. */
function Text({ text }: { readonly text: string }) {
  if (text.length <= MAX_SHOWN) return <pre>{text}</pre>;
  return (
    <details>
      <summary>
        <code>{text.slice(0, 80)}…</code> ({text.length.toLocaleString()} characters)
      </summary>
      <pre>{text}</pre>
    </details>
  );
}

function Content({ session: { metadata, data } }: { readonly session: Session }) {
  const labels = Object.entries(metadata);
  return (
    <>
      <section aria-labelledby="metadata">
        <h2 id="metadata">Metadata</h2>
        {labels.length === 0 && <p>None.</p>}
        {labels.length > 0 && (
          <Scrolling label="Metadata">
            <table>
              <tbody>
                {labels.map(([key, value]) => (
                  <tr key={key}>
                    <th scope="row">{key}</th>
                    <td class="long">
                      <Text text={value} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </Scrolling>
        )}
      </section>
      {data !== undefined && (
        <section aria-labelledby="data">
          <h2 id="data">Data</h2>
          <Text text={JSON.stringify(data, null, 2)} />
        </section>
      )}
    </>
  );
}

interface PublishProps {
  readonly isBusy: boolean;
  readonly onPublish: (event: { event?: string; data: unknown }) => Promise<boolean>;
}

function Publish({ isBusy, onPublish }: PublishProps) {
  const [event, setEvent] = useState("");
  const [data, setData] = useState("");
  const [form, setForm] = useState<"json" | "text">("json");
  const [wrong, setWrong] = useState<string>();
  const submit = async () => {
    let value: unknown = data;
    if (form === "json") {
      try {
        value = JSON.parse(data);
      } catch (failure) {
        return setWrong(`This is no JSON: ${messageOf(failure)}`);
      }
    }
    setWrong(undefined);
    if (await onPublish({ ...(event !== "" && { event }), data: value })) setData("");
  };
  return (
    <section aria-labelledby="publish">
      <h2 id="publish">Publish</h2>
      <form
        class="stack"
        onSubmit={(submission) => {
          submission.preventDefault();
          void submit();
        }}
      >
        <label>
          Event
          <input
            name="event"
            placeholder="message"
            value={event}
            onInput={({ currentTarget }) => setEvent(currentTarget.value)}
          />
        </label>
        <label>
          Data
          <textarea
            name="data"
            rows={3}
            required={form === "json"}
            spellcheck={false}
            value={data}
            onInput={({ currentTarget }) => setData(currentTarget.value)}
          />
        </label>
        {wrong !== undefined && (
          <p class="notice bad" role="alert">
            {wrong}
          </p>
        )}
        <div class="row">
          <label>
            As
            <select
              name="form"
              value={form}
              onChange={({ currentTarget }) =>
                setForm(currentTarget.value === "text" ? "text" : "json")
              }
            >
              <option value="json">JSON</option>
              <option value="text">text</option>
            </select>
          </label>
          <button class="first" disabled={isBusy}>
            Publish
          </button>
        </div>
      </form>
    </section>
  );
}
