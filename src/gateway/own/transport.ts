/**
 * Connects a server of the SDK with the exchanges of its session, in place of HTTP. Each POST of the
 * client is answered with JSON, or with a stream if there are more messages than the answers. Notifications
 * that name no call go to the session's standalone stream. The SDK's `elicitInput` and its like name no call
 * either, though a tool asks: such a request goes to a call under way, whose stream its client reads in any case.
 * Where many clients share the session, nobody can tell here whose it is.
 *
 * The ids of requests are changed in both directions. The server sees numbers that are never used twice,
 * whatever the client chose. The client sees ids that name this life of the server, so that a late answer
 * to a request of an earlier life reaches nobody.
 */
import { isObject } from "../../wire/json.ts";
import { FrameStream } from "../../wire/sse-frame.ts";
import { RPC_CODES, rpcError, type RequestId, type WrittenMessage } from "../json-rpc.ts";
import type { Answer } from "../upstream/upstream.ts";
import type { SendOptions, ServerTransport } from "./contract.ts";

/** A message of the SDK, as far as this file changes one. */
interface Message {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: {
    readonly requestId?: unknown;
    readonly progressToken?: unknown;
    readonly _meta?: { readonly progressToken?: unknown };
  };
}

const CANCELLED = "notifications/cancelled";

/** The server asks the client nothing in answer to these. */
const QUIET: ReadonlySet<string> = new Set(["initialize", "ping"]);

const RELATED_TASK = "io.modelcontextprotocol/related-task";

/**
 * Whether a request may have these parameters. The SDK leaves others without an answer, as it leaves a
 * request with members that JSON-RPC does not name.
 */
function areParams(params: unknown): boolean {
  if (params === undefined) return true;
  if (!isObject(params)) return false;
  const { _meta: meta } = params;
  if (meta === undefined) return true;
  if (!isObject(meta)) return false;
  const { progressToken: token, [RELATED_TASK]: task } = meta;
  const isToken = token === undefined || typeof token === "string" || Number.isSafeInteger(token);
  return isToken && (task === undefined || (isObject(task) && typeof task["taskId"] === "string"));
}

/** One POST of the client. */
class Post {
  readonly answer: Promise<Answer>;
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (failure: Error) => void;
  readonly #isBatch: boolean;
  readonly #left: () => void;
  #waiting: number;
  readonly #held: string[] = [];
  #stream: FrameStream | undefined;

  /** `left` is called when the reader of its stream leaves. */
  constructor(requests: number, isBatch: boolean, left: () => void) {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.answer = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    this.#waiting = requests;
    this.#isBatch = isBatch;
    this.#left = left;
  }

  /** Sends a message that is no answer. */
  say(text: string): void {
    if (!this.#stream) {
      this.#stream = new FrameStream(this.#left);
      for (const held of this.#held.splice(0)) this.#stream.send(held);
      this.#resolve(this.#stream.response);
    }
    this.#stream.send(text);
  }

  answered(text: string): void {
    this.#waiting--;
    if (this.#stream) this.#stream.send(text);
    else this.#held.push(text);
    if (this.#waiting > 0) return;
    this.#stream?.close();
    const [only = ""] = this.#held;
    this.#resolve(this.#isBatch ? `[${this.#held.join(",")}]` : only);
  }

  /** There will be no more answers. */
  breakOff(): void {
    this.#stream?.close();
    this.#reject(new Error("the server was closed"));
  }
}

interface Call {
  /** As the client wrote it. */
  readonly id: RequestId;
  readonly post: Post;
  readonly isQuiet: boolean;
}

interface PostOptions {
  readonly isBatch?: boolean;
  readonly isQuiet?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export class OwnTransport implements ServerTransport {
  readonly sessionId: string;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  onmessage?: (message: object) => void;
  readonly #unasked: (text: string) => void;
  readonly #isShared: boolean;
  readonly #prefix = `${crypto.randomUUID().slice(0, 8)}-`;
  /** The calls under way, by the ids that the server sees. */
  readonly #calls = new Map<unknown, Call>();
  #lastId = 0;
  #isClosed = false;

  /** `unasked` takes the messages that belong to no request. `isShared`: several clients make calls in the session. */
  constructor(sessionId: string, unasked: (text: string) => void, isShared = false) {
    this.sessionId = sessionId;
    this.#unasked = unasked;
    this.#isShared = isShared;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  start(): Promise<void> {
    return Promise.resolve();
  }

  /** Ends the calls under way without an answer. */
  close(): Promise<void> {
    if (!this.#isClosed) {
      this.#isClosed = true;
      const posts = new Set([...this.#calls.values()].map(({ post }) => post));
      this.#calls.clear();
      for (const post of posts) post.breakOff();
      this.onclose?.();
    }
    return Promise.resolve();
  }

  /** Takes a message of the server. Rejects for a request that belongs to a call which has ended. */
  async send(message: object, { relatedRequestId: related }: SendOptions = {}): Promise<void> {
    const { id, method }: Message = message;
    if (method === undefined) return this.#answer(message, id);
    const text = JSON.stringify(this.#forClient(message));
    const isAsking = !this.#isShared && (id !== undefined || method === CANCELLED);
    const call = related === undefined && isAsking ? this.#open : this.#calls.get(related);
    if (call) call.post.say(text);
    else if (related === undefined && !this.#isClosed) this.#unasked(text);
    else if (id !== undefined) throw new Error("the call that this request belongs to has ended");
  }

  /** Repeats to the server messages that the client sent to an earlier one. */
  async repeat(messages: readonly WrittenMessage[]): Promise<void> {
    const answer = await this.post(messages, { isQuiet: true });
    if (typeof answer !== "string") await answer.text();
  }

  /** Gives the server a POST of the client. Aborting cancels its calls. `isQuiet`: no request of the server goes there. */
  post(
    messages: readonly WrittenMessage[],
    { isBatch = false, isQuiet = false, signal }: PostOptions = {},
  ): Promise<Answer> {
    const ids: number[] = [];
    const cancel = (): void => {
      for (const id of ids) this.#cancel(id);
    };
    const requests = messages.filter(({ message }) => message.kind === "request");
    const post = new Post(requests.length, isBatch, cancel);
    const forServer = messages.flatMap(({ message, text }) => {
      const value = JSON.parse(text) as Message;
      if (message.kind !== "request") return this.#forServer(value) ?? [];
      const { method } = message;
      const { params } = value;
      if (!areParams(params)) {
        post.answered(rpcError(RPC_CODES.invalidParams, "Invalid params", message.id));
        return [];
      }
      const id = ++this.#lastId;
      ids.push(id);
      this.#calls.set(id, { id: message.id, post, isQuiet: isQuiet || QUIET.has(method) });
      return { jsonrpc: "2.0", id, method, ...(params !== undefined && { params }) };
    });
    signal?.addEventListener("abort", cancel, { once: true });
    for (const message of forServer) this.onmessage?.(message);
    return requests.length > 0 ? post.answer : Promise.resolve(new Response(null, { status: 202 }));
  }

  /** The first call under way that the server may ask something in. */
  get #open(): Call | undefined {
    return [...this.#calls.values()].find(({ isQuiet }) => !isQuiet);
  }

  #answer(message: object, id: unknown): void {
    const call = this.#calls.get(id);
    if (!call) return;
    this.#calls.delete(id);
    call.post.answered(this.#textOf(message, call.id));
  }

  #textOf(message: object, id: RequestId): string {
    try {
      return `{"id":${id},${JSON.stringify({ ...message, id: undefined }).slice(1)}`;
    } catch (cause) {
      // The answer refers to itself, or holds a BigInt. Without an answer the client would wait.
      this.onerror?.(new Error("an answer cannot be written as JSON", { cause }));
      return rpcError(RPC_CODES.internalError, "The answer cannot be written as JSON", id);
    }
  }

  #cancel(requestId: number): void {
    if (!this.#calls.delete(requestId)) return;
    this.onmessage?.({ jsonrpc: "2.0", method: CANCELLED, params: { requestId } });
  }

  /** A request of the server, or a notification about one, under the id that the client knows. */
  #forClient(message: Message): Message {
    const { id, method, params } = message;
    if (method === CANCELLED && params?.requestId !== undefined) {
      return { ...message, params: { ...params, requestId: this.#named(params.requestId) } };
    }
    if (id === undefined) return message;
    const token = params?._meta?.progressToken;
    if (token === undefined) return { ...message, id: this.#named(id) };
    const _meta = { ...params?._meta, progressToken: this.#named(token) };
    return { ...message, id: this.#named(id), params: { ...params, _meta } };
  }

  /** A response or a notification of the client, as the server knows it; undefined if it is about nothing of this life. */
  #forServer(message: Message): Message | undefined {
    const { method, params } = message;
    if (method === undefined) {
      const id = this.#own(message.id);
      return id === undefined ? undefined : { ...message, id };
    }
    if (method === CANCELLED) {
      const asked = JSON.stringify(params?.requestId);
      const known = [...this.#calls].find(([, { id }]) => id === asked);
      return known && { ...message, params: { ...params, requestId: known[0] } };
    }
    if (method !== "notifications/progress") return message;
    const progressToken = this.#own(params?.progressToken);
    return progressToken === undefined
      ? undefined
      : { ...message, params: { ...params, progressToken } };
  }

  #named(id: unknown): string {
    return this.#prefix + String(id);
  }

  #own(id: unknown): number | undefined {
    if (typeof id !== "string" || !id.startsWith(this.#prefix)) return undefined;
    return Number(id.slice(this.#prefix.length));
  }
}
