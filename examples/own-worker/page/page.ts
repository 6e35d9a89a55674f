/** The page: it asks, follows the answer from its first word, and stops it. The browser adds the login's cookie. */
import { HoldfastClient, HoldfastError } from "holdfast/client";

const client = new HoldfastClient({ url: "/live" });

const element = (id: string) => document.getElementById(id)!;
const stop = element("stop") as HTMLButtonElement;
const form = element("ask") as HTMLFormElement;
let leaving = new AbortController();

// The address names the answer, so a reload and a second tab find it.
addEventListener("hashchange", show);
form.addEventListener("submit", ask);
stop.addEventListener("click", () =>
  client.end(shownId(), { event: "stopped", data: "by a reader" }).catch(sayWhy),
);
show();
list().catch(sayWhy);

function shownId(): string {
  return location.hash.slice(1);
}

async function ask(event: SubmitEvent): Promise<void> {
  event.preventDefault();
  const response = await fetch("/answers", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ prompt: new FormData(form).get("prompt") }),
  });
  if (!response.ok) return say(await response.text());
  location.hash = ((await response.json()) as { id: string }).id;
  await list().catch(sayWhy);
}

async function show(): Promise<void> {
  leaving.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const answer = element("answer");
  answer.textContent = "";
  if (shownId() === "") return;
  let end = "Complete";
  try {
    for await (const item of client.follow(shownId(), {
      from: "earliest",
      signal,
      onOpen: () => say("Streaming", true),
      onRetry: () => say("Reconnecting", true),
    })) {
      if (item.type === "gap") answer.append("[…] ");
      else if (item.type === "end") say(item.reason === "ended" ? end : "This answer is gone.");
      else if (item.event === "stopped") end = "Stopped";
      else answer.append(item.data);
    }
  } catch (failure) {
    if (!signal.aborted) sayWhy(failure);
  }
}

/** The newest sessions of whoever is logged in. */
async function list(): Promise<void> {
  const { sessions } = await client.list({ limit: 10 });
  element("answers").replaceChildren(
    ...sessions.map(({ id, createdAt }) => {
      const link = Object.assign(document.createElement("a"), { href: `#${id}` });
      link.textContent = `Asked at ${new Date(createdAt).toLocaleString()}`;
      const entry = document.createElement("li");
      entry.append(link);
      return entry;
    }),
  );
}

function say(text: string, isRunning = false): void {
  element("status").textContent = text;
  stop.disabled = !isRunning;
}

function sayWhy(failure: unknown): void {
  const status = failure instanceof HoldfastError ? failure.status : 0;
  if (status === 401) say("Log in first.");
  else if (status === 404) say("You have no such answer.");
  else say(String(failure));
}
