/** A client of the session era without an SDK, so that a test can send what no SDK would. */
import { SseReader } from "../sse-reader.ts";

export interface Rpc {
  readonly jsonrpc?: string;
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly data?: unknown };
  readonly result?: { readonly content?: readonly { readonly text?: string }[] };
  readonly error?: { readonly code: number; readonly message: string };
}

/** An answer that was read to its end. */
interface WholeAnswer {
  readonly status: number;
  /** Whether it came on a stream, and not as JSON. */
  readonly onStream: boolean;
  readonly messages: Rpc[];
  readonly text: string;
}

const ACCEPT = "application/json, text/event-stream";
const VERSION = "2025-11-25";

export const INITIALIZE = {
  jsonrpc: "2.0",
  id: "init",
  method: "initialize",
  params: {
    protocolVersion: VERSION,
    capabilities: { sampling: {}, elicitation: {} },
    clientInfo: { name: "by-hand", version: "1" },
  },
};

export function toolCall(id: string | number, name: string, args: object = {}): object {
  return { jsonrpc: "2.0", id, method: "tools/call", params: { name, arguments: args } };
}

/** A POST as any client sends it. */
export function post(
  url: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "content-type": "application/json", accept: ACCEPT, ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
}

export class McpSession {
  url: string;
  readonly id: string;

  private constructor(url: string, id: string) {
    this.url = url;
    this.id = id;
  }

  /** `params` take the place of those of `INITIALIZE`. */
  static async open(url: string, params: object = {}): Promise<McpSession> {
    const response = await post(url, {
      ...INITIALIZE,
      params: { ...INITIALIZE.params, ...params },
    });
    const id = response.headers.get("mcp-session-id");
    if (!response.ok || !id)
      throw new Error(`initialize: ${response.status} ${await response.text()}`);
    await response.body?.cancel();
    const session = new McpSession(url, id);
    await session.post({ jsonrpc: "2.0", method: "notifications/initialized" });
    return session;
  }

  get headers(): Record<string, string> {
    return { "mcp-session-id": this.id, "mcp-protocol-version": VERSION };
  }

  post(body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    return post(this.url, body, { ...this.headers, ...headers });
  }

  /** Posts, and reads the answer whole. */
  async call(body: unknown): Promise<WholeAnswer> {
    return wholeAnswer(await this.post(body));
  }

  /** Posts a message, and returns the stream that answers it. */
  async stream(body: unknown): Promise<SseReader> {
    return readerOf(await this.post(body));
  }

  async get(lastEventId?: string): Promise<Response> {
    return fetch(this.url, {
      headers: {
        accept: "text/event-stream",
        ...this.headers,
        ...(lastEventId !== undefined && { "last-event-id": lastEventId }),
      },
    });
  }

  async follow(lastEventId?: string): Promise<SseReader> {
    return readerOf(await this.get(lastEventId));
  }

  delete(): Promise<Response> {
    return fetch(this.url, { method: "DELETE", headers: this.headers });
  }
}

export function readerOf(response: Response): SseReader {
  if (!response.headers.get("content-type")?.startsWith("text/event-stream") || !response.body) {
    throw new Error(`not a stream: ${response.status}`);
  }
  return new SseReader(response.body);
}

/** The messages among a stream's frames; the priming event is none. */
export function messagesOf(frames: readonly { readonly data: string }[]): Rpc[] {
  return frames.filter(({ data }) => data !== "").map(({ data }) => JSON.parse(data) as Rpc);
}

/** Reads an answer to its end: one JSON message or a batch, or the messages of a stream. */
export async function wholeAnswer(response: Response): Promise<WholeAnswer> {
  const text = await response.text();
  const { status, headers } = response;
  const onStream = headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  return { status, onStream, messages: messagesIn(text, onStream), text };
}

/**
 * The status that an outcome has in `answer`: its own, or 200 where a stream had begun by
 * then. That depends on how fast the machine is.
 */
export function statusOf(outcome: number, answer: WholeAnswer): number {
  return answer.onStream ? 200 : outcome;
}

function messagesIn(text: string, onStream: boolean): Rpc[] {
  if (text === "") return [];
  if (!onStream) return [JSON.parse(text) as Rpc].flat();
  return [...text.matchAll(/^data: (.+)$/gm)].map(([, data]) => JSON.parse(data ?? "") as Rpc);
}

export function textOf(message: Rpc | undefined): string | undefined {
  return message?.result?.content?.[0]?.text;
}
