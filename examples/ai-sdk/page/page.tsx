/** The page: a chat with `useChat`, which resumes the answer that is being written. */
import { useChat } from "@ai-sdk/react";
import type { UIMessage } from "ai";
import { StrictMode, useState, type FormEvent } from "react";
import { createRoot } from "react-dom/client";
import { HoldfastChatTransport } from "./transport.ts";

interface Chat {
  readonly id: string;
  readonly messages: UIMessage[];
  readonly answer?: string;
}

function Page({ chat }: { readonly chat: Chat }) {
  const [transport] = useState(() => new HoldfastChatTransport(chat.answer));
  const { messages, sendMessage, status, error } = useChat({
    id: chat.id,
    messages: chat.messages,
    resume: true,
    transport,
  });
  const isRunning = status === "submitted" || status === "streaming";
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    void sendMessage({ text: String(new FormData(event.currentTarget).get("prompt")) });
  };
  return (
    <>
      <ol id="messages">
        {messages.map(({ id, role, parts }) => (
          <li key={id} className={role}>
            {parts.map((part) => (part.type === "text" ? part.text : "")).join("")}
          </li>
        ))}
      </ol>
      <p id="status" role="status">
        {error?.message ?? status}
      </p>
      <form id="ask" onSubmit={ask}>
        <input
          name="prompt"
          aria-label="Question"
          required
          defaultValue="Why does this survive a reload?"
        />
        <button disabled={isRunning}>Ask</button>
        <button
          type="button"
          id="stop"
          disabled={!isRunning}
          onClick={() => void fetch(`/api/chats/${chat.id}/stop`, { method: "POST" })}
        >
          Stop
        </button>
      </form>
    </>
  );
}

/** The address names the chat, so a reload and a second tab find it. */
async function openChat(): Promise<Chat> {
  const shown = location.hash.slice(1);
  const known = shown && (await fetch(`/api/chats/${shown}`));
  if (known && known.ok) return { id: shown, ...((await known.json()) as Omit<Chat, "id">) };
  const { id } = (await (await fetch("/api/chats", { method: "POST" })).json()) as { id: string };
  history.replaceState(null, "", `#${id}`);
  return { id, messages: [] };
}

const chat = await openChat();
createRoot(document.getElementById("page")!).render(
  <StrictMode>
    <Page chat={chat} />
  </StrictMode>,
);
