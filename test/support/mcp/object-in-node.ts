/**
 * A session's object in Node, with its real code, a storage that outlives it, a clock that stands still and an
 * upstream that answers as a script says. A test can take the object out of memory in any situation, and
 * sees what its client, its readers and its upstream see.
 */
import { afterEach, beforeEach, vi } from "vitest";
import type { Outcome } from "../../../src/core/errors.ts";
import { requireSessionId } from "../../../src/core/id.ts";
import type {
  ExchangeAnswer,
  ExchangeRequest,
  GatewayStart,
} from "../../../src/gateway/contract.ts";
import { cancelledIn } from "../../../src/gateway/classify.ts";
import { messagesIn, type RequestId } from "../../../src/gateway/json-rpc.ts";
import { READER_GONE } from "../../../src/stream/protocol.ts";
import { SessionObject } from "../../../src/session/session-object.ts";
import { SseParser, type SseEvent } from "../../../src/wire/sse-parser.ts";
import { ObjectStorage, type Life } from "../object-storage.ts";
import { stubSockets } from "../platform/sockets.ts";

const ID = requireSessionId("0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55");
const CALLER = { admin: true };
export const VERSION = "2025-11-25";
export const INITIALIZE = rpc(0, "initialize", {
  protocolVersion: VERSION,
  capabilities: {},
  clientInfo: { name: "by-hand", version: "1" },
});

/** Lets all run that waits for no time to pass. */
export const settle = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);

const lines: string[] = [];

/** The log's lines of this event. */
export function logged(event: string): Record<string, unknown>[] {
  const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  return all.filter((line) => line["event"] === event);
}

/** Has each test of the file run with a clock of its own, and with what of the platform Node lacks. */
export function withObjects(): void {
  beforeEach(() => {
    vi.useFakeTimers();
    lines.length = 0;
    vi.spyOn(console, "log").mockImplementation((line) => void lines.push(String(line)));
    stubSockets(SocketPair);
  });
  afterEach(async () => {
    // A timer that the object sets after this test would be of another file's clock.
    await settle();
    vi.clearAllTimers();
    vi.useRealTimers();
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });
}

const OPEN = 1;
const CLOSED = 3;

/** Both ends of a reader's socket in one. */
class FakeSocket {
  readyState = OPEN;
  readonly sent: (string | Uint8Array)[] = [];
  closed: number | undefined;
  #attachment: unknown = null;
  onClosed: (code: number) => void = () => undefined;

  send(message: string | Uint8Array): void {
    if (this.readyState !== OPEN) throw new Error("the socket is closed");
    this.sent.push(typeof message === "string" ? message : message.slice());
  }

  close(code: number): void {
    if (this.readyState !== OPEN) return;
    this.readyState = CLOSED;
    this.closed = code;
    this.onClosed(code);
  }

  serializeAttachment(value: unknown): void {
    this.#attachment = structuredClone(value);
  }

  deserializeAttachment(): unknown {
    return this.#attachment;
  }
}

class SocketPair {
  readonly 0 = new FakeSocket();
  readonly 1 = this[0];
}

/** A request that came to the upstream. */
export class Asked {
  readonly url: string;
  readonly verb: string;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly signal: AbortSignal | undefined;
  /** Of the first message; the verb where there is none. */
  readonly method: string;
  /** The id of the first message, as it was written. */
  readonly id: RequestId;

  constructor(url: string, init: RequestInit) {
    this.url = url;
    this.verb = init.method ?? "GET";
    this.body = typeof init.body === "string" ? init.body : "";
    this.headers = init.headers as Record<string, string>;
    this.signal = init.signal ?? undefined;
    const [message] = messagesIn(this.body).map((one) => one.message);
    this.method = message && "method" in message ? message.method : this.verb;
    this.id = message && "id" in message ? (message.id ?? "") : "";
  }

  get sid(): string | undefined {
    return this.headers["mcp-session-id"];
  }

  get lastEventId(): string | undefined {
    return this.headers["last-event-id"];
  }
}

/** How the scripted server answers a request. Where it returns undefined, the usual answer is sent. */
export type Script = (asked: Asked) => Promise<Response> | Response | undefined;

export const json = (body: string, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(body, { status, headers: { "content-type": "application/json", ...headers } });
export const accepted = (): Response => new Response(null, { status: 202 });
export const resultOf = (id: RequestId, members = ""): string =>
  `{"jsonrpc":"2.0","id":${id},"result":{${members}}}`;
export const errorOf = (code: number, message: string, id?: RequestId): string =>
  `{"jsonrpc":"2.0",${id === undefined ? "" : `"id":${id},`}"error":${JSON.stringify({ code, message })}}`;
export const notice = (data: unknown): string =>
  rpc(undefined, "notifications/message", { level: "info", data });
export const toolCall = (id: number | string, name = "pay"): string =>
  rpc(id, "tools/call", { name, arguments: {} });
/** How the platform says that a connection could not be made, or broke. */
export const brokenOff = (): Promise<never> =>
  Promise.reject(new Error("Network connection lost."));
/** An answer that never comes. */
export const never = (): Promise<never> => new Promise(() => undefined);

export function rpc(id: number | string | undefined, method: string, params: object = {}): string {
  return JSON.stringify({ jsonrpc: "2.0", ...(id !== undefined && { id }), method, params });
}

/** A stream of the upstream. */
export class Flow {
  readonly response: Response;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  /** Whether the gateway has given it up. */
  isLeft = false;

  constructor(headers: Record<string, string> = {}) {
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => void (this.#controller = controller),
      cancel: () => void (this.isLeft = true),
    });
    this.response = new Response(body, {
      headers: { "content-type": "text/event-stream", ...headers },
    });
  }

  /** Sends these messages in one chunk, unless the gateway has left the stream. */
  async say(...messages: readonly string[]): Promise<void> {
    await this.write(messages.map((data) => `data: ${data}\n\n`).join(""));
  }

  /** Sends messages whose events have these ids. */
  async sayWithIds(...messages: readonly (readonly [id: string, data: string])[]): Promise<void> {
    await this.write(messages.map(([id, data]) => `id: ${id}\ndata: ${data}\n\n`).join(""));
  }

  async write(text: string): Promise<void> {
    if (!this.isLeft) this.#controller?.enqueue(new TextEncoder().encode(text));
    await settle();
  }

  /** Ends it, unless the gateway has left it. */
  async end(): Promise<void> {
    if (!this.isLeft) this.#controller?.close();
    await settle();
  }

  async breakOff(): Promise<void> {
    this.#controller?.error(new Error("Network connection lost."));
    await settle();
  }
}

/** A reader of one of the session's streams, as its bridge sees it. */
export class Reader {
  readonly socket: FakeSocket;

  constructor(socket: FakeSocket) {
    this.socket = socket;
  }

  get events(): SseEvent[] {
    const bytes = this.socket.sent.filter((one) => typeof one !== "string");
    const parser = new SseParser(1 << 24);
    return bytes.flatMap((chunk) => [...parser.push(chunk)]);
  }

  /** The messages that came, without the frame that only gives an id. */
  get messages(): string[] {
    return this.events.map(({ data }) => data).filter((data) => data !== "");
  }

  get lastEventId(): string {
    const parser = new SseParser(1 << 24);
    for (const one of this.socket.sent) if (typeof one !== "string") Array.from(parser.push(one));
    return parser.lastEventId ?? "";
  }

  get words(): string[] {
    return this.socket.sent.filter((one) => typeof one === "string");
  }

  /** The code with which the object has closed it. */
  get closed(): number | undefined {
    return this.socket.closed;
  }
}

export interface ObjectOptions {
  readonly script?: Script | undefined;
  /** Of the upstream in `UPSTREAMS`. */
  readonly upstream?: object;
  readonly env?: Readonly<Record<string, unknown>>;
  /** Milliseconds; absent: two hours. */
  readonly ttlMs?: number;
  /** Absent: that of a client of 2025-11-25. */
  readonly initialize?: string;
}

let made = 0;

export class ObjectInNode {
  readonly id = ID;
  readonly storage = new ObjectStorage();
  readonly asked: Asked[] = [];
  readonly urls: readonly string[];
  script: Script;
  /** The id that the upstream gives to its next session. */
  upstreamSid = "upstream-1";
  object: SessionObject;
  readonly #env: Readonly<Record<string, unknown>>;
  readonly #sockets: { readonly socket: FakeSocket; readonly tags: readonly string[] }[] = [];
  readonly #ttlMs: number;
  #life: Life;
  #lives = 0;

  private constructor({ script, upstream = {}, env = {}, ttlMs = 7_200_000 }: ObjectOptions) {
    this.#ttlMs = ttlMs;
    this.script = script ?? (() => undefined);
    const number = ++made;
    // The gateway remembers replicas by URL for the whole process, which other tests share.
    this.urls = ["a", "b"].map((name) => `https://${name}${number}.example/mcp`);
    const settings = { url: this.urls[0], era: "legacy", ...this.#named(upstream) };
    if ("replicas" in settings) delete (settings as { url?: string }).url;
    this.#env = {
      DIRECTORY_SHARDS: "0",
      LOG_LEVEL: "debug",
      UPSTREAMS: JSON.stringify({ default: settings }),
      OUTBOUND: { fetch: (url: string, init: RequestInit) => this.#answer(new Asked(url, init)) },
      ...env,
    };
    this.#life = this.storage.open();
    this.object = this.#load();
  }

  /** A session that its client has initialized. */
  static async open(options: ObjectOptions = {}): Promise<ObjectInNode> {
    const one = new ObjectInNode(options);
    await one.initialize(options.initialize);
    one.asked.length = 0;
    return one;
  }

  /** An object without a session. */
  static empty(options: ObjectOptions = {}): ObjectInNode {
    return new ObjectInNode(options);
  }

  /** With `era`, the session carries clients of the stateless revision. */
  async initialize(body = INITIALIZE, more: { readonly era?: true } = {}) {
    const metadata = more.era ? { era: "1" } : {};
    const content = { type: "mcp" as const, ttlMs: this.#ttlMs, metadata };
    const request = { upstream: "default", body, headers: {}, ...more };
    return this.object.initialize(ID, content as never, request);
  }

  /** The requests of this method. */
  all(method: string): Asked[] {
    return this.asked.filter((one) => one.method === method);
  }

  methods(): string[] {
    return this.asked.map(({ method }) => method);
  }

  /** Posts one message, or a batch, as the Worker hands it on. */
  post(
    message: string | readonly string[],
    more: Partial<ExchangeRequest> = {},
  ): Promise<Outcome<ExchangeAnswer>> {
    const body = typeof message === "string" ? message : `[${message.join(",")}]`;
    const messages = messagesIn(body);
    const request: ExchangeRequest = {
      match: { type: "mcp", upstream: "default" },
      body,
      batch: typeof message !== "string",
      pending: messages.flatMap(({ message: one }) => (one.kind === "request" ? [one.id] : [])),
      cancels: messages.flatMap(({ text }) => cancelledIn(JSON.parse(text), text)),
      initialize: false,
      headers: {},
      delivery: "own",
      ...more,
    };
    return this.object.exchange(CALLER, request) as Promise<Outcome<ExchangeAnswer>>;
  }

  /** As `post`, and follows the stream that the answer is to be. */
  async follow(message: string | readonly string[]): Promise<Reader> {
    const answer = this.post(message);
    await pass(300);
    const given = await answer;
    if (!given.ok || given.value.kind !== "stream") throw new Error(JSON.stringify(given));
    return this.attach({ kind: "exchange", stream: given.value.stream });
  }

  /** Attaches a reader; a refusal's status in its place. */
  async attach(start: StartHere): Promise<Reader> {
    const reader = await this.tryToAttach(start);
    if (typeof reader === "number") throw new Error(`refused with ${reader}`);
    return reader;
  }

  async tryToAttach(start: StartHere): Promise<Reader | number> {
    const match = { type: "mcp", upstream: "default" };
    const attachment = { caller: CALLER, start: { match, ...start } };
    const url = `https://session.invalid/?attach=${encodeURIComponent(JSON.stringify(attachment))}`;
    const response = await this.object.fetch(new Request(url));
    const { webSocket } = response as unknown as { webSocket?: FakeSocket };
    return webSocket ? new Reader(webSocket) : response.status;
  }

  /** A word from a reader's bridge. */
  async word(reader: Reader, word: string): Promise<void> {
    this.object.webSocketMessage(reader.socket as never, word);
    await settle();
  }

  /** A reader has left. */
  leave(reader: Reader): void {
    reader.socket.readyState = CLOSED;
    this.object.webSocketClose(reader.socket as never, READER_GONE, "");
  }

  end() {
    return this.object.remove(CALLER);
  }

  /** Whether the session is there, without a use of it. */
  get exists(): boolean {
    const read = this.object.read(CALLER, false);
    return typeof read === "string" || read.ok;
  }

  /**
   * Takes the object out of memory, whatever it does: as a crash does, and a deploy. Its storage and its
   * readers' connections are still there.
   */
  async evict(): Promise<void> {
    await settle();
    this.#life.end();
    const now = Date.now();
    vi.clearAllTimers();
    // That also sets the clock back to the test's beginning.
    vi.setSystemTime(now);
    this.#life = this.storage.open();
    this.object = this.#load();
  }

  /** Loads the session into memory. Every call to the object does the same. */
  wake(): void {
    void this.exists;
  }

  /** Takes the object out of memory, and lets its next life do what it does by itself at once. */
  async reload(): Promise<void> {
    await this.evict();
    this.wake();
    await settle();
  }

  #load(): SessionObject {
    this.#lives++;
    const ctx = {
      id: { toString: () => "object" },
      storage: this.#life.storage,
      acceptWebSocket: (socket: FakeSocket, tags: readonly string[] = []) => {
        this.#sockets.push({ socket, tags });
        // The peer completes the closing handshake.
        socket.onClosed = (code) =>
          queueMicrotask(() => this.object.webSocketClose(socket as never, code, ""));
      },
      getWebSockets: (tag?: string) =>
        this.#sockets
          .filter(({ tags, socket }) => socket.readyState === OPEN && (!tag || tags.includes(tag)))
          .map(({ socket }) => socket),
      blockConcurrencyWhile: (work: () => Promise<unknown>) => work(),
      waitUntil: (work: Promise<unknown>) => void work.catch(() => undefined),
      abort: () => undefined,
    };
    return new SessionObject(ctx as never, this.#env as never);
  }

  #named(upstream: object): object {
    return "replicas" in upstream ? { ...upstream, replicas: this.urls } : upstream;
  }

  async #answer(asked: Asked): Promise<Response> {
    const life = this.#lives;
    this.asked.push(asked);
    const answer = await (this.script(asked) ?? this.#usual(asked));
    // If the object that asked has died meanwhile, the answer reaches nobody.
    return life === this.#lives ? answer : never();
  }

  #usual({ verb, method, id, body }: Asked): Response {
    if (verb === "GET") return new Response(null, { status: 405 });
    if (verb === "DELETE") return new Response(null, { status: 204 });
    if (method === "initialize") return agreed(id, body, this.upstreamSid);
    return id === "" ? accepted() : json(resultOf(id));
  }
}

type StartHere = GatewayStart extends infer S
  ? S extends object
    ? Omit<S, "match">
    : never
  : never;

/** The answer to an initialize request. */
export function agreed(id: RequestId, body: string, sid?: string, version?: string): Response {
  const wanted = /"protocolVersion":"([^"]+)"/.exec(body)?.[1] ?? VERSION;
  const result = `"protocolVersion":"${version ?? wanted}","capabilities":{},"serverInfo":{"name":"s","version":"1"}`;
  return json(resultOf(id, result), 200, sid === undefined ? {} : { "mcp-session-id": sid });
}
