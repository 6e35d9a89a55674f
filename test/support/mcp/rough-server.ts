/**
 * An MCP server that answers byte for byte as its script says, well or badly: the text of a
 * message as it is written, frames of any form, and a connection that breaks in the middle.
 */
import { once } from "node:events";
import {
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { listenOnLoopback } from "../listen.ts";

type Headers = Readonly<Record<string, string>>;

const SSE = { "content-type": "text/event-stream", "cache-control": "no-store" };

/** One request that came, and the answer that it is given. */
export class Asked {
  readonly verb: string;
  /** Of the JSON-RPC message; the verb where there is none. */
  readonly method: string;
  /** Its id, as it was written; empty where it has none. */
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly path: string;
  readonly body: string;
  readonly #outgoing: ServerResponse;
  /** Resolves when the connection, or the answer, has ended. */
  readonly closed: Promise<unknown>;

  constructor(incoming: IncomingMessage, body: string, outgoing: ServerResponse) {
    this.verb = incoming.method ?? "";
    this.path = incoming.url ?? "";
    this.headers = incoming.headers;
    this.body = body;
    this.method = /"method"\s*:\s*"([^"]+)"/.exec(body)?.[1] ?? this.verb;
    this.id = /"id"\s*:\s*("(?:[^"\\]|\\.)*"|-?[\d.eE+-]+)/.exec(body)?.[1] ?? "";
    this.#outgoing = outgoing;
    this.closed = once(outgoing, "close");
  }

  get sid(): string | undefined {
    const sid = this.headers["mcp-session-id"];
    return Array.isArray(sid) ? sid[0] : sid;
  }

  /** The whole answer. */
  answer(status: number, body = "", headers: Headers = {}): void {
    this.#outgoing.writeHead(status, headers).end(body);
  }

  json(body: unknown, status = 200, headers: Headers = {}): void {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    this.answer(status, text, { "content-type": "application/json", ...headers });
  }

  /** The answer to this request, with these members. */
  result(members = '"content": []', headers: Headers = {}): void {
    this.json(resultOf(this.id, members), 200, headers);
  }

  /** A JSON-RPC error; `id` is JSON, and this request's own unless another is given. */
  error(status: number, code: number, message: string, id = this.id, headers: Headers = {}): void {
    const member = id === "" ? "" : `"id": ${id}, `;
    const error = JSON.stringify({ code, message });
    this.json(`{"jsonrpc": "2.0", ${member}"error": ${error}}`, status, headers);
  }

  /** Begins a stream with this text. */
  stream(text = "", headers: Headers = {}): void {
    this.#outgoing.writeHead(200, { ...SSE, ...headers });
    this.#outgoing.flushHeaders();
    this.write(text);
  }

  write(text: string): void {
    if (text !== "") this.#outgoing.write(text);
  }

  end(text = ""): void {
    this.#outgoing.end(text);
  }

  /** Breaks the connection, as a crash does. */
  reset(): void {
    this.#outgoing.socket?.resetAndDestroy();
  }

  /** Closes the connection in good order, before the answer is whole. */
  hangUp(): void {
    this.#outgoing.socket?.destroySoon();
  }
}

/** Handles one request. True: the script has answered it, or will. */
export type Script = (asked: Asked, server: RoughServer) => boolean | void;

export interface RoughOptions {
  /** The session's id that it gives out; null: it keeps none. */
  readonly sid?: string | null;
  /** The version that it agrees to. Absent: the one that the client asks for. */
  readonly version?: string;
  /** 0 takes a free one. */
  readonly port?: number;
}

/** Where a rough server on this port answers. */
export function urlOf(port: number): string {
  return `http://127.0.0.1:${port}/mcp`;
}

export class RoughServer {
  readonly #server: Server;
  readonly #script: Script;
  readonly #options: RoughOptions;
  readonly #watchers = new Set<() => void>();
  /** Every request, in the order in which they came. */
  readonly requests: Asked[] = [];
  /** The id that the next session gets. */
  sid: string | null;
  #port: number;

  private constructor(script: Script, options: RoughOptions) {
    this.#script = script;
    this.#options = options;
    this.sid = options.sid === undefined ? "rough-1" : options.sid;
    this.#port = options.port ?? 0;
    this.#server = createServer((incoming, outgoing) => {
      outgoing.on("error", () => undefined);
      this.#take(incoming, outgoing).catch(() => outgoing.destroy());
    });
  }

  /** Starts a server; the caller stops it. It answers a request that `script` leaves as any server does. */
  static async start(
    script: Script = () => false,
    options: RoughOptions = {},
  ): Promise<RoughServer> {
    const server = new RoughServer(script, options);
    await server.listen();
    return server;
  }

  get url(): string {
    return urlOf(this.#port);
  }

  /** Again on the same port, where it was stopped. */
  async listen(): Promise<void> {
    this.#port = await listenOnLoopback(this.#server, this.#port);
  }

  /** Ends it and every connection: from now on it refuses them. */
  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    const { listening } = this.#server;
    this.#server.close();
    this.#server.closeAllConnections();
    if (listening) await closed;
  }

  all(method: string): Asked[] {
    return this.requests.filter((one) => one.method === method);
  }

  count(method: string): number {
    return this.all(method).length;
  }

  /** Resolves with the nth request of this method, from 1, past or to come. */
  asked(method: string, nth = 1): Promise<Asked> {
    return new Promise((resolve) => {
      const look = (): void => {
        const one = this.all(method)[nth - 1];
        if (!one) return;
        this.#watchers.delete(look);
        resolve(one);
      };
      this.#watchers.add(look);
      look();
    });
  }

  async #take(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const asked = new Asked(incoming, Buffer.concat(chunks).toString(), outgoing);
    this.requests.push(asked);
    const taken = this.#script(asked, this) === true;
    for (const watcher of this.#watchers) watcher();
    if (!taken) this.#answer(asked);
  }

  #answer(asked: Asked): void {
    if (asked.verb === "GET") return asked.answer(405);
    if (asked.verb === "DELETE") return asked.answer(204);
    if (asked.method === "initialize") return this.initialize(asked);
    if (asked.id === "") return asked.answer(202);
    asked.result();
  }

  /** Agrees, with a session where it keeps any. */
  initialize(asked: Asked): void {
    const wanted = /"protocolVersion"\s*:\s*"([^"]+)"/.exec(asked.body)?.[1];
    const version = this.#options.version ?? wanted ?? "2025-11-25";
    const headers: Headers = this.sid === null ? {} : { "mcp-session-id": this.sid };
    asked.result(agreedTo(version), headers);
  }
}

/** The members of an initialize's result. */
export function agreedTo(version: string): string {
  return `"protocolVersion": "${version}", "capabilities": {"tools": {}}, "serverInfo": {"name": "rough", "version": "1"}`;
}

/** A response as text; `id` is JSON. */
export function resultOf(id: string, members = '"content": []'): string {
  return `{"jsonrpc": "2.0", "id": ${id}, "result": {${members}}}`;
}

/** A log message as text. */
export function notice(data: unknown): string {
  const params = { level: "info", data };
  return JSON.stringify({ jsonrpc: "2.0", method: "notifications/message", params });
}

/** An event of a stream, without a name. */
export function event(data: string): string {
  return `data: ${data}\n\n`;
}
