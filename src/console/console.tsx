/** The operator's page: the way in, and which page the address names. */
import { render } from "preact";
import { useEffect, useState } from "preact/hooks";
import { about, messageOf, rememberToken, requireAdmin, statusOf, token } from "./api.ts";
import type { About } from "./api.ts";
import { useHash } from "./hooks.ts";
import { McpPage } from "./mcp-page.tsx";
import { SessionPage } from "./session-page.tsx";
import { SessionsPage } from "./sessions-page.tsx";
import { decoded } from "./words.ts";

type Entry =
  | { readonly kind: "asking" }
  | { readonly kind: "locked"; readonly why: string | undefined }
  | { readonly kind: "failed"; readonly why: string }
  | { readonly kind: "open"; readonly about: About };

/** Whether the caller may see anything. Nothing of the service is shown before that is known. */
async function enter(): Promise<Entry> {
  try {
    const service = await about();
    if (service.needsToken && token() === undefined) return { kind: "locked", why: undefined };
    await requireAdmin(service);
    return { kind: "open", about: service };
  } catch (failure) {
    const status = statusOf(failure);
    if (status !== 401 && status !== 403) return { kind: "failed", why: messageOf(failure) };
    rememberToken(undefined);
    const why =
      status === 403
        ? "This token does not have the scope admin, so the console shows it nothing."
        : messageOf(failure);
    return { kind: "locked", why };
  }
}

function Console() {
  const [entry, setEntry] = useState<Entry>({ kind: "asking" });
  const look = () => {
    setEntry({ kind: "asking" });
    void enter().then(setEntry);
  };
  useEffect(look, []);
  if (entry.kind === "open") {
    const leave = () => {
      rememberToken(undefined);
      look();
    };
    return <Inside about={entry.about} leave={token() === undefined ? undefined : leave} />;
  }
  return (
    <main class="door">
      <h1>Holdfast console</h1>
      {entry.kind === "asking" && <p role="status">Asking the service …</p>}
      {entry.kind === "failed" && (
        <>
          <p class="notice bad" role="alert">
            {entry.why}
          </p>
          <button type="button" onClick={look}>
            Try again
          </button>
        </>
      )}
      {entry.kind === "locked" && <Door why={entry.why} onToken={look} />}
    </main>
  );
}

interface DoorProps {
  readonly why: string | undefined;
  readonly onToken: () => void;
}

function Door({ why, onToken }: DoorProps) {
  const [given, setGiven] = useState("");
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        rememberToken(given.trim());
        onToken();
      }}
    >
      <p>
        The console is for tokens with the scope <code>admin</code>. This tab keeps the token until
        it is closed.
      </p>
      {why !== undefined && (
        <p class="notice bad" role="alert">
          {why}
        </p>
      )}
      <label>
        Token
        <input
          type="password"
          autocomplete="off"
          spellcheck={false}
          pattern="[!-~]+"
          title="A token has no spaces"
          required
          autofocus
          value={given}
          onInput={({ currentTarget }) => setGiven(currentTarget.value)}
        />
      </label>
      <button class="first">Open</button>
    </form>
  );
}

interface InsideProps {
  readonly about: About;
  /** Absent: there is no token to forget. */
  readonly leave: (() => void) | undefined;
}

function Inside({ about, leave }: InsideProps) {
  const [path = "", query = ""] = useHash().split("?");
  const [page, id = ""] = path.replace(/^\//, "").split("/");
  const isKnown = page === "" || page === "mcp" || (page === "session" && id !== "");
  const parameters = new URLSearchParams(query);
  const filter = {
    subject: parameters.get("subject") ?? "",
    type: parameters.get("type") ?? "",
  };
  const tab = (name: string, to: string) => (
    <a href={`#/${to}`} aria-current={page === to ? "page" : undefined}>
      {name}
    </a>
  );
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the page
      </a>
      <header>
        <a class="brand" href="./">
          Holdfast
        </a>
        <nav aria-label="Console">
          {tab("Sessions", "")}
          {tab("MCP", "mcp")}
        </nav>
        {leave && (
          <button type="button" class="quiet" onClick={leave}>
            Forget the token
          </button>
        )}
      </header>
      <main id="main" tabIndex={-1}>
        {!isKnown && <p class="notice bad">The console has no such page.</p>}
        {page === "session" && id !== "" && <SessionPage key={id} id={decoded(id)} />}
        {page === "mcp" && <McpPage key={filter.type} type={filter.type} about={about} />}
        {page === "" && (
          <SessionsPage key={`${filter.type}/${filter.subject}`} filter={filter} about={about} />
        )}
      </main>
    </>
  );
}

/** The address after `#` names a page, so the link must not change it. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

const place = document.getElementById("console");
if (place) render(<Console />, place);
