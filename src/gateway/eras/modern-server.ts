/**
 * Makes a server that speaks only the stateless revision (2026-07-28) look like one with sessions, as
 * Streamable HTTP knows them. It keeps nothing that a restart would lose: the client's description of itself,
 * its log level and its subscriptions are stored with the session, and the session's id says that it is
 * bridged. Results pass through as they are; `results.ts` reads them.
 */
import { parseJson } from "../../wire/json.ts";
import { memberText, withMember } from "../../wire/json-text.ts";
import { cancelledIn } from "../classify.ts";
import { messagesIn, RPC_CODES, rpcError, type RequestId } from "../json-rpc.ts";
import { changesIn, type Change } from "../object/upstream-state.ts";
import { FAILURES, UpstreamError } from "../upstream/failure.ts";
import type { Answer, RequestParts, Send } from "../upstream/upstream.ts";
import { isSessionVersion, NEWEST_SESSION_VERSION } from "../versions.ts";
import { Batches } from "./batch.ts";
import { heardOf, type HeardAnswer } from "./heard.ts";
import {
  clientIn,
  modernBody,
  modernHeaders,
  ownRequest,
  type ClientSide,
  type ToolHeaders,
} from "./requests.ts";
import { DISCOVER, META, MODERN_CODES, MODERN_VERSION, newBridgedSid } from "./wire.ts";

export interface ModernParts {
  /** The session's client; undefined once the session has ended. */
  readonly client: () => ClientSide | undefined;
  /** The version that the session has agreed on, if this initialize request made it. */
  readonly agreed: (initBody: string) => string | undefined;
  /** Stores a lasting request. Resolves with whether there was room, once the bridge listens to the server for it. */
  readonly change: (change: Change) => Promise<boolean>;
  readonly tools: ToolHeaders;
  /** Bytes of one message. */
  readonly maxBytes: number;
}

interface Request {
  readonly id: RequestId;
  readonly method: string;
  readonly text: string;
}

/** Notifications that say nothing to a server of the stateless era. */
const DROPPED: ReadonlySet<string> = new Set([
  "notifications/initialized",
  "notifications/cancelled",
  "notifications/progress",
  "notifications/roots/list_changed",
]);

/** Pages of a list of tools that are read for the names of headers. */
const MOST_PAGES = 50;

const LEVELS: ReadonlySet<string> = new Set(
  "debug info notice warning error critical alert emergency".split(" "),
);

/** `reach` sends a request to the server. */
export function modernServer(reach: Send, parts: ModernParts): Send {
  const batches = new Batches();
  return async (given, url) => {
    if (given.method === "DELETE") return new Response(null, { status: 204 });
    if (given.method === "GET") return new Response(null, { status: 405 });
    const bridge = new Bridge((request) => reach(request, url), given, parts);
    const requests: Request[] = [];
    let taken: Answer = new Response(null, { status: 202 });
    for (const { message, text } of messagesIn(given.body ?? "")) {
      if (message.kind === "request") requests.push({ ...message, text });
      if (message.kind !== "notification") continue;
      for (const id of cancelledIn(parseJson(text), text)) batches.cancel(id);
      if (!DROPPED.has(message.method)) taken = await bridge.post(text, message.method);
    }
    const [only, ...more] = requests;
    if (!only) return taken;
    if (more.length === 0) return bridge.answer(only);
    const ids = requests.map(({ id }) => id);
    const send = (n: number, signal: AbortSignal) =>
      bridge.alone(signal).answer(requests[n] ?? only);
    return batches.answer(ids, send, parts.maxBytes);
  };
}

/** One POST of the session. */
class Bridge {
  readonly #send: (request: RequestParts) => Promise<Answer>;
  readonly #given: RequestParts;
  readonly #parts: ModernParts;

  constructor(
    send: (request: RequestParts) => Promise<Answer>,
    given: RequestParts,
    parts: ModernParts,
  ) {
    this.#send = send;
    this.#given = given;
    this.#parts = parts;
  }

  /** Another POST, whose signal ends it alone. */
  alone(signal: AbortSignal): Bridge {
    const { signal: all } = this.#given;
    const both = all ? AbortSignal.any([all, signal]) : signal;
    return new Bridge(this.#send, { ...this.#given, signal: both }, this.#parts);
  }

  answer({ id, method, text }: Request): Promise<Answer> {
    switch (method) {
      case "initialize":
        return this.#initialize(id, text);
      case "ping":
        return this.#ping(id);
      case "logging/setLevel":
      case "resources/subscribe":
      case "resources/unsubscribe":
        return this.#change(id, text);
      case "tools/call":
        return this.#callTool(text);
      default:
        return this.post(text, method);
    }
  }

  /** Sends a message as the stateless era has it. */
  async post(
    text: string,
    method: string,
    headers: Readonly<Record<string, string>> = {},
    client = this.#client,
  ): Promise<Answer> {
    const { "mcp-session-id": _sid, ...others } = this.#given.headers;
    return this.#send({
      ...this.#given,
      headers: { ...others, ...modernHeaders(text, method), ...headers },
      body: modernBody(text, client),
    });
  }

  get #client(): ClientSide {
    const client = this.#parts.client();
    if (!client) throw new UpstreamError(FAILURES.refused);
    return client;
  }

  /** A server of the stateless era has no sessions, so this asks it what it is. */
  async #initialize(id: RequestId, text: string): Promise<Answer> {
    const client = { ...clientIn(text), level: undefined };
    const request = withMember(ownRequest("", DISCOVER, client), "id", id);
    const heard = await this.#heard(await this.post(request, DISCOVER, {}, client));
    const result = heard.result;
    if (result === undefined) return heard.response();
    const versions = parseJson(memberText(result, "supportedVersions") ?? "");
    if (!Array.isArray(versions) || !versions.includes(MODERN_VERSION)) {
      const data = { supported: versions, requested: MODERN_VERSION };
      const error = rpcError(MODERN_CODES.unsupportedVersion, "Unsupported version", id, data);
      return jsonResponse(400, error);
    }
    const initialized = this.#initializeResult(text, result);
    return jsonResponse(200, `{"jsonrpc":"2.0","id":${id},"result":${initialized}}`, {
      "mcp-session-id": newBridgedSid(),
    });
  }

  #initializeResult(initBody: string, discovered: string): string {
    const asked: unknown = parseJson(
      memberText(memberText(initBody, "params") ?? "", "protocolVersion") ?? "",
    );
    const known = typeof asked === "string" && isSessionVersion(asked) ? asked : undefined;
    const version = this.#parts.agreed(initBody) ?? known ?? NEWEST_SESSION_VERSION;
    const serverInfo = memberText(memberText(discovered, "_meta") ?? "", META.serverInfo);
    let result = "{}";
    const instructions = memberText(discovered, "instructions");
    if (instructions !== undefined) result = withMember(result, "instructions", instructions);
    result = withMember(result, "serverInfo", serverInfo ?? '{"name":"unnamed","version":"0"}');
    const capabilities = memberText(discovered, "capabilities") ?? "{}";
    result = withMember(result, "capabilities", capabilities);
    return withMember(result, "protocolVersion", JSON.stringify(version));
  }

  /** The client's ping is answered here. The gateway's own asks whether the server is there. */
  async #ping(id: RequestId): Promise<Answer> {
    const answer = `{"jsonrpc":"2.0","id":${id},"result":{}}`;
    if (!id.startsWith('"holdfast-')) return answer;
    const request = withMember(ownRequest("", DISCOVER, this.#client), "id", id);
    const heard = await this.#heard(await this.post(request, DISCOVER));
    return heard.result === undefined ? heard.response() : answer;
  }

  async #change(id: RequestId, text: string): Promise<Answer> {
    const [change] = changesIn(text);
    if (!change || (change.kind === "level" && !LEVELS.has(change.level))) {
      return rpcError(RPC_CODES.invalidParams, "Invalid params", id);
    }
    const hasRoom = await this.#parts.change(change);
    if (hasRoom) return `{"jsonrpc":"2.0","id":${id},"result":{}}`;
    return rpcError(RPC_CODES.invalidParams, "The session has too many subscriptions", id);
  }

  /** Headers repeat some parameters of some tools. Only the server's list of tools says which. */
  async #callTool(text: string): Promise<Answer> {
    const { tools } = this.#parts;
    const first = await this.post(text, "tools/call", tools.headersFor(text));
    if (typeof first === "string" || first.status !== 400) return first;
    const heard = await this.#heard(first);
    if (heard.code !== MODERN_CODES.headerMismatch) return heard.response();
    await this.#learnTools();
    const headers = tools.headersFor(text);
    if (Object.keys(headers).length === 0) return heard.response();
    return this.post(text, "tools/call", headers);
  }

  async #learnTools(): Promise<void> {
    let cursor: string | undefined;
    for (let page = 0; page < MOST_PAGES; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const request = ownRequest("holdfast-tools", "tools/list", this.#client, params);
      const { text = "", result = "" } = await this.#heard(await this.post(request, "tools/list"));
      this.#parts.tools.learn(text);
      const next: unknown = parseJson(memberText(result, "nextCursor") ?? "");
      if (typeof next !== "string") return;
      cursor = next;
    }
  }

  #heard(answer: Answer): Promise<HeardAnswer> {
    return heardOf(answer, this.#parts.maxBytes);
  }
}

function jsonResponse(
  status: number,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(body, {
    status,
    headers: { "content-type": "application/json", ...headers },
  });
}
