/** MCP sessions: opening them, and the requests in them. */
import type { RequestPlan } from "../client/requests.ts";

const ACCEPT = { accept: "application/json, text/event-stream" };
const VERSION = "2025-11-25";

const INITIALIZE = JSON.stringify({
  jsonrpc: "2.0",
  id: 0,
  method: "initialize",
  params: {
    protocolVersion: VERSION,
    capabilities: {},
    clientInfo: { name: "bench", version: "1" },
  },
});
const INITIALIZED = JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" });

type Headers = Readonly<Record<string, string>>;
export type Load = Pick<
  RequestPlan,
  "method" | "headers" | "headersInTurn" | "body" | "answerHolds"
>;

/** Each request makes a session. */
export const INITIALIZE_LOAD: Load = {
  method: "POST",
  headers: ACCEPT,
  body: INITIALIZE,
  answerHolds: '"protocolVersion"',
};

/** Calls of the tool `echo` go to these sessions in turn. */
export function callLoad(sessions: readonly string[]): Load {
  return {
    method: "POST",
    headersInTurn: sessions.map(sessionHeaders),
    // `$n` keeps apart the ids of calls that are under way in one session.
    body: '{"jsonrpc":"2.0","id":$n,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}',
    answerHolds: '"content"',
  };
}

/** The same call as a client of 2026-07-28 makes it, without a session. */
export const MODERN_LOAD: Load = {
  method: "POST",
  headers: {
    ...ACCEPT,
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/call",
    "mcp-name": "echo",
  },
  body: '{"jsonrpc":"2.0","id":$n,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}',
  answerHolds: '"content"',
};

/** The first request of a load. */
export function requestOf({ method, headers, headersInTurn = [], body = "" }: Load): RequestInit {
  return {
    method,
    headers: { "content-type": "application/json", ...headers, ...headersInTurn[0] },
    body: body.replace("$n", "1"),
  };
}

/** A call of 400 ms, with a message after 200. */
const COUNT =
  '{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"count","arguments":{"steps":2,"seconds":0.4},"_meta":{"progressToken":1}}}';

/** Leaves a call at its first message. Returns what `resumeCall` needs. */
export async function leaveCall(url: string, session: string): Promise<string> {
  const init = requestOf({ ...callLoad([session]), body: COUNT });
  const text = await readUntil(await fetch(url, init), '"progress":1,');
  return `${session} ${/^id: ?(.+)$/m.exec(text)?.[1]}`;
}

/** Comes back to a call that was left, for the rest of it and its result. Throws if that is not there. */
export async function resumeCall(url: string, left: string): Promise<void> {
  const [session = "", id = ""] = left.split(" ");
  const headers = { ...sessionHeaders(session), accept: "text/event-stream", "last-event-id": id };
  const signal = AbortSignal.timeout(5000);
  await readUntil(await fetch(url, { headers, signal }), "counted to 2");
}

/** Reads a stream until it holds this text. Throws if it ends before. */
async function readUntil({ body, status }: Response, wanted: string): Promise<string> {
  let text = "";
  for await (const chunk of body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += chunk;
    if (text.includes(wanted)) return text;
  }
  throw new Error(`${status}, without ${wanted}: ${text}`);
}

export function sessionHeaders(session: string): Headers {
  return { ...ACCEPT, "mcp-session-id": session, "mcp-protocol-version": VERSION };
}

/** Opens sessions as a client does: initialize, then the notification. */
export async function openSessions(url: string, count: number, concurrency = 8): Promise<string[]> {
  const sessions: string[] = [];
  let started = 0;
  await Promise.all(
    Array.from({ length: concurrency }, async () => {
      while (started++ < count) sessions.push(await openSession(url));
    }),
  );
  return sessions;
}

async function openSession(url: string): Promise<string> {
  const answer = await fetch(url, requestOf(INITIALIZE_LOAD));
  const [session, text] = [answer.headers.get("mcp-session-id"), await answer.text()];
  if (!session) throw new Error(`${url} gave no session: ${answer.status} ${text}`);
  const headers = sessionHeaders(session);
  await (await fetch(url, requestOf({ method: "POST", headers, body: INITIALIZED }))).text();
  return session;
}
