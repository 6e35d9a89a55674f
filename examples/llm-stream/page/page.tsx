/** The page: it asks, follows the answer from its first word, and stops it. */
import { HoldfastError } from "holdfast/client";
import { useSession, type UsedSession } from "holdfast/react";
import { StrictMode, useState, useSyncExternalStore, type FormEvent } from "react";
import { createRoot } from "react-dom/client";

interface Shown {
  /** Where pages reach Holdfast. */
  readonly url: string;
  readonly id: string;
}

function Page({ url }: { readonly url: string }) {
  const id = useSyncExternalStore(onAddress, shownId);
  const [problem, setProblem] = useState<string>();
  const ask = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const prompt = new FormData(event.currentTarget).get("prompt");
    const response = await post("/answers", { prompt }).catch(() => undefined);
    setProblem(
      response?.ok ? undefined : `The answer was not started: ${response?.status ?? "no network"}`,
    );
    if (response?.ok) location.hash = ((await response.json()) as { id: string }).id;
  };
  return (
    <>
      <form id="ask" onSubmit={ask}>
        <input
          name="prompt"
          aria-label="Question"
          required
          maxLength={2000}
          defaultValue="Why does this survive a reload?"
        />
        <button>Ask</button>
      </form>
      {problem && <p role="alert">{problem}</p>}
      {id && <Answer url={url} id={id} />}
    </>
  );
}

function Answer({ url, id }: Shown) {
  const session = useSession({
    url,
    id,
    from: "earliest",
    // The ticket opens this one stream for a minute. The page holds no token.
    ticket: () => post(`/answers/${id}/ticket`),
  });
  const words = session.events.filter(({ event }) => event === "message");
  const isRunning = ["connecting", "open", "reconnecting"].includes(session.status);
  return (
    <>
      <output id="answer">
        {session.gap && "[…] "}
        {words.map(({ data }) => data).join("")}
      </output>
      <p id="status" role="status">
        {stateOf(session)}
      </p>
      {/* The stream's end comes to this page as it does to every other. */}
      <button id="stop" disabled={!isRunning} onClick={() => void post(`/answers/${id}/stop`)}>
        Stop
      </button>
    </>
  );
}

function stateOf({ status, events, error }: UsedSession): string {
  if (status === "open") return "Streaming";
  if (status === "ended") return events.at(-1)?.event === "stopped" ? "Stopped" : "Complete";
  if (status === "connecting") return "Connecting";
  if (status === "reconnecting") return "Reconnecting";
  const isGone = status !== "failed" || (error instanceof HoldfastError && error.status === 404);
  return isGone ? "This answer is gone." : `The answer cannot be shown: ${String(error)}`;
}

/** The address names the answer, so a reload and a second tab find it. */
const shownId = () => location.hash.slice(1);

function onAddress(listener: () => void) {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

function post(path: string, body: unknown = {}): Promise<Response> {
  return fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

const { url } = (await (await fetch("/holdfast")).json()) as { url: string };
createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Page url={url} />
  </StrictMode>,
);
