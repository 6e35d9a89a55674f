/** A client of 2026-07-28 without an SDK, so that a test can send what no SDK would. */
import { freshFetch } from "./fresh-fetch.ts";
import { wholeAnswer } from "./client.ts";

export const MODERN = "2026-07-28";

export interface ModernAnswer {
  readonly status: number;
  readonly message: ModernMessage;
  readonly messages: readonly ModernMessage[];
}

export interface ModernMessage {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly result?: Readonly<Record<string, unknown>> & {
    readonly inputRequests?: Readonly<Record<string, { readonly params?: { message?: string } }>>;
    readonly requestState?: string;
    readonly resultType?: string;
    readonly content?: readonly { readonly text?: string }[];
  };
  readonly error?: { readonly code: number; readonly message: string; readonly data?: unknown };
}

export class ModernClient {
  readonly #url: string;
  readonly #meta: object;
  readonly #headers: Record<string, string>;
  #ids = 0;

  constructor(
    url: string,
    options: {
      readonly capabilities?: object;
      readonly name?: string;
      readonly headers?: Record<string, string>;
    } = {},
  ) {
    const { capabilities = { elicitation: {}, sampling: {}, roots: {} }, name = "by-hand" } =
      options;
    this.#url = url;
    this.#headers = options.headers ?? {};
    this.#meta = {
      "io.modelcontextprotocol/protocolVersion": MODERN,
      "io.modelcontextprotocol/clientInfo": { name, version: "1" },
      "io.modelcontextprotocol/clientCapabilities": capabilities,
    };
  }

  /** Sends a request. A header of undefined is left out. */
  post(
    method: string,
    params: Record<string, unknown> = {},
    headers: Record<string, string | undefined> = {},
    signal?: AbortSignal,
  ): Promise<Response> {
    const { _meta, ...others } = params;
    const meta = { ...this.#meta, ...(_meta as object) };
    const id = ++this.#ids;
    const body = JSON.stringify({ jsonrpc: "2.0", id, method, params: { ...others, _meta: meta } });
    const name = others["name"] ?? others["uri"];
    const all: Record<string, string | undefined> = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": MODERN,
      "mcp-method": method,
      ...(typeof name === "string" && { "mcp-name": name }),
      ...this.#headers,
      ...headers,
    };
    const given = Object.entries(all).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value] as const],
    );
    return freshFetch(this.#url, {
      method: "POST",
      body,
      headers: Object.fromEntries(given),
      ...(signal && { signal }),
    });
  }

  /** Sends a request, and reads the answer whole. */
  async ask(
    method: string,
    params: Record<string, unknown> = {},
    headers: Record<string, string | undefined> = {},
  ): Promise<ModernAnswer> {
    const { status, messages } = await wholeAnswer(await this.post(method, params, headers));
    const all = messages as readonly ModernMessage[];
    return { status, messages: all, message: all.at(-1) ?? {} };
  }

  call(name: string, args: object, more: Record<string, unknown> = {}): Promise<ModernAnswer> {
    return this.ask("tools/call", { name, arguments: args, ...more });
  }
}

/** The retry's parameters that accept every elicitation of an answer. */
export function accepting({ message }: ModernAnswer): Record<string, unknown> {
  const { inputRequests = {}, requestState } = message.result ?? {};
  const inputResponses = Object.fromEntries(
    Object.entries(inputRequests).map(([key, { params }]) => [
      key,
      { action: "accept", content: { name: params?.message ?? "" } },
    ]),
  );
  return { inputResponses, requestState };
}

export function saidBy({ message }: ModernAnswer): string | undefined {
  return message.result?.content?.[0]?.text;
}
