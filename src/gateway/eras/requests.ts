/** Makes requests of 2026-07-28 of those of a client of the revisions with sessions. Pure. */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, withMember, withoutMember } from "../../wire/json-text.ts";
import type { RequestId } from "../json-rpc.ts";
import { encodedHeader, LISTEN, META, MODERN_HEADERS, MODERN_VERSION, nameIn } from "./wire.ts";

/** The client's description of itself, which each request of the stateless era repeats. */
export interface ClientSide {
  /** Undefined where it is not what MCP demands. */
  readonly info: unknown;
  readonly capabilities: Readonly<Record<string, unknown>>;
  /** From `logging/setLevel`. */
  readonly level: string | undefined;
}

/** Reads an initialize request. */
export function clientIn(initBody: string | undefined): Omit<ClientSide, "level"> {
  const value = initBody === undefined ? undefined : parseJson(initBody);
  const params = isObject(value) && isObject(value["params"]) ? value["params"] : {};
  const { clientInfo: info, capabilities } = params;
  const isInfo =
    isObject(info) && typeof info["name"] === "string" && typeof info["version"] === "string";
  return {
    info: isInfo ? info : undefined,
    capabilities: isObject(capabilities) ? capabilities : {},
  };
}

function metaOf({ info, capabilities, level }: ClientSide): Record<string, unknown> {
  return {
    [META.version]: MODERN_VERSION,
    ...(info !== undefined && { [META.clientInfo]: info }),
    [META.clientCapabilities]: capabilities,
    ...(level !== undefined && { [META.logLevel]: level }),
  };
}

/** The request with the client's description in its `_meta`; everything else is as it was written. */
export function modernBody(text: string, client: ClientSide): string {
  const params = objectText(memberText(text, "params"));
  let meta = objectText(memberText(params, "_meta"));
  for (const [key, value] of Object.entries(metaOf(client))) {
    meta = withMember(meta, key, JSON.stringify(value));
  }
  return withMember(text, "params", withMember(params, "_meta", meta));
}

function objectText(text: string | undefined): string {
  return text?.trimStart().startsWith("{") ? text : "{}";
}

/** The headers of a request, besides `Mcp-Param-*`. */
export function modernHeaders(text: string, method: string): Record<string, string> {
  const name = nameIn(method, parseJson(memberText(text, "params") ?? ""));
  return {
    [MODERN_HEADERS.version]: MODERN_VERSION,
    [MODERN_HEADERS.method]: method,
    ...(name !== undefined && { [MODERN_HEADERS.name]: encodedHeader(name) }),
  };
}

/** A request of the gateway's own. */
export function ownRequest(id: string, method: string, client: ClientSide, params = {}): string {
  const all = { ...params, _meta: metaOf(client) };
  return JSON.stringify({ jsonrpc: "2.0", id, method, params: all });
}

/** Listens to changes of every list, and to these resources. */
export function listenRequest(client: ClientSide, uris: readonly string[]): string {
  const notifications = {
    toolsListChanged: true,
    promptsListChanged: true,
    resourcesListChanged: true,
    ...(uris.length > 0 && { resourceSubscriptions: uris }),
  };
  return ownRequest("holdfast-listen", LISTEN, client, { notifications });
}

/**
 * A parked call with the client's answers, as a request of its own (2026-07-28, "Multi round-trip
 * requests": a retry has an id of its own). `body` may be such a request of an earlier round.
 */
export function againRequest(
  body: string,
  id: RequestId,
  answers: Readonly<Record<string, string>>,
  state: string | undefined,
): string {
  let params = objectText(memberText(body, "params"));
  params = withoutMember(withoutMember(params, "inputResponses"), "requestState");
  const entries = Object.entries(answers).map(([key, text]) => `${JSON.stringify(key)}:${text}`);
  if (entries.length > 0) params = withMember(params, "inputResponses", `{${entries.join(",")}}`);
  if (state !== undefined) params = withMember(params, "requestState", JSON.stringify(state));
  return withMember(withMember(body, "params", params), "id", id);
}

/** A parameter of a tool that a header repeats: its path in the arguments, and the name of the header. */
interface Repeated {
  readonly path: readonly string[];
  readonly name: string;
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MOST_TOOLS = 1000;
/** A schema's depth is the server's to choose. */
const MAX_DEPTH = 32;

function repeatedIn(schema: unknown, path: readonly string[] = []): Repeated[] {
  if (!isObject(schema) || path.length > MAX_DEPTH) return [];
  const { properties, "x-mcp-header": name } = schema;
  const own = typeof name === "string" && TOKEN.test(name) && path.length > 0;
  const deeper = isObject(properties) ? Object.entries(properties) : [];
  return [
    ...(own ? [{ path, name }] : []),
    ...deeper.flatMap(([key, one]) => repeatedIn(one, [...path, key])),
  ];
}

/** The parameters that headers repeat, by the tool. A server names them in its list of tools (`x-mcp-header`). */
export class ToolHeaders {
  readonly #tools = new Map<string, readonly Repeated[]>();

  /** Takes a message of the server: it may be a list of tools. */
  learn(text: string): void {
    if (!text.includes("x-mcp-header")) return;
    const result = parseJson(memberText(text, "result") ?? "");
    if (!isObject(result) || !Array.isArray(result["tools"])) return;
    for (const tool of result["tools"] as readonly unknown[]) {
      if (!isObject(tool) || typeof tool["name"] !== "string") continue;
      // A server that names ever more tools must not fill the memory. The next lists teach the names again.
      if (this.#tools.size >= MOST_TOOLS) this.#tools.clear();
      this.#tools.set(tool["name"], repeatedIn(tool["inputSchema"]));
    }
  }

  /** The headers `Mcp-Param-*` of a `tools/call`. */
  headersFor(text: string): Record<string, string> {
    if (this.#tools.size === 0) return {};
    const params = parseJson(memberText(text, "params") ?? "");
    if (!isObject(params) || typeof params["name"] !== "string") return {};
    const repeated = this.#tools.get(params["name"]) ?? [];
    const headers = repeated.flatMap(({ path, name }) => {
      const value = headerTextOf(valueAt(params["arguments"], path));
      if (value === undefined) return [];
      return [[MODERN_HEADERS.param + name.toLowerCase(), encodedHeader(value)] as const];
    });
    return Object.fromEntries(headers);
  }
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce((node, key) => (isObject(node) ? node[key] : undefined), value);
}

/** Only a value that every program writes alike has a header. */
function headerTextOf(value: unknown): string | undefined {
  if (typeof value === "string") return value;
  if (typeof value === "boolean") return String(value);
  if (typeof value !== "number" || !Number.isFinite(value)) return undefined;
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? undefined : String(value);
}
