/**
 * Reads a request of 2026-07-28 that is to be carried to a server of the revisions with sessions: checks it as
 * such a server would, and writes it as the older revisions do. Pure. The order of the checks and their codes
 * are those of the official server.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, membersOf } from "../../wire/json-text.ts";
import { requestIdOf, rpcError, RPC_CODES, type RequestId } from "../json-rpc.ts";
import { isModernVersion, NEWEST_SESSION_VERSION } from "../versions.ts";
import {
  decodedHeader,
  META,
  METHOD_NOT_FOUND,
  MODERN_CODES,
  MODERN_HEADERS,
  MODERN_VERSION,
  nameIn,
} from "./wire.ts";

type Members = Readonly<Record<string, unknown>>;

/** A request that passed the checks. */
export interface ModernRequest {
  readonly kind: "request";
  /** As the client wrote it. */
  readonly id: RequestId;
  readonly method: string;
  /** The tool, prompt or resource that the method names. */
  readonly name: string | undefined;
  readonly params: Members;
  readonly paramsText: string;
  readonly clientInfo: Members;
  readonly capabilities: Members;
  readonly logLevel: string | undefined;
  /** As the client wrote it; undefined where it wants no progress. */
  readonly progressToken: string | undefined;
  readonly requestState: string | undefined;
  /** The text of each answer, by its key. */
  readonly inputResponses: Readonly<Record<string, string>>;
}

export type ModernVerdict =
  | ModernRequest
  /** It needs no answer, and no older revision has it. */
  | { readonly kind: "notification" }
  | { readonly kind: "refused"; readonly status: number; readonly body: string };

/** Methods of the older revisions that 2026-07-28 has not. */
const DROPPED: ReadonlySet<string> = new Set([
  "initialize",
  "ping",
  "logging/setLevel",
  "resources/subscribe",
  "resources/unsubscribe",
  "tasks/get",
  "tasks/result",
  "tasks/list",
  "tasks/cancel",
  "tasks/update",
]);

const NO_CLIENT_INFO = { name: "unknown", version: "0" };

/** `body` is JSON. */
export function readModern(body: string, headers: Pick<Headers, "get">): ModernVerdict {
  const value = parseJson(body);
  const message = isObject(value) ? value : {};
  const id = requestIdOf(message["id"], () => memberText(body, "id"));
  const { method } = message;
  if (message["jsonrpc"] !== "2.0" || typeof method !== "string") {
    return refused(400, RPC_CODES.invalidRequest, "Not a JSON-RPC 2.0 message", id);
  }
  if (id === undefined && !("id" in message)) return { kind: "notification" };
  if (id === undefined) return refused(400, RPC_CODES.invalidRequest, "The id is none of MCP");
  const params = isObject(message["params"]) ? message["params"] : {};
  const meta = metaOf(params);
  const problem = problemOf(method, params, headers, (version) => version === MODERN_VERSION);
  if (problem) return refused(400, problem.code, problem.message, id, problem.data);
  if (DROPPED.has(method)) {
    return refused(404, METHOD_NOT_FOUND, `${MODERN_VERSION} has no ${method}`, id);
  }
  const paramsText = memberText(body, "params") ?? "{}";
  const { [META.clientInfo]: info, [META.clientCapabilities]: capabilities } = meta;
  const { [META.logLevel]: level } = meta;
  const state = params["requestState"];
  return {
    kind: "request",
    id,
    method,
    name: nameIn(method, params),
    params,
    paramsText,
    clientInfo: isObject(info) ? info : NO_CLIENT_INFO,
    capabilities: isObject(capabilities) ? capabilities : {},
    logLevel: typeof level === "string" ? level : undefined,
    progressToken: tokenIn(paramsText, meta),
    requestState: typeof state === "string" ? state : undefined,
    inputResponses: membersOf(memberText(paramsText, "inputResponses")) ?? {},
  };
}

interface Problem {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** The first fault in `_meta`, or between the headers and the body; undefined if there is none. */
export function problemOf(
  method: string,
  params: Members,
  headers: Pick<Headers, "get">,
  isServed: (version: string) => boolean,
): Problem | undefined {
  const meta = metaOf(params);
  return envelopeProblem(meta) ?? headerProblem(method, params, meta, headers, isServed);
}

function metaOf({ _meta: meta }: Members): Members {
  return isObject(meta) ? meta : {};
}

function envelopeProblem(meta: Members): Problem | undefined {
  const version = meta[META.version];
  const invalid = (key: string, problem: string): Problem => ({
    code: RPC_CODES.invalidParams,
    message: `Invalid _meta of ${MODERN_VERSION}: ${key}: ${problem}`,
    data: { envelope: { key, problem } },
  });
  if (typeof version !== "string") return invalid(META.version, "must be a text");
  if (!isObject(meta[META.clientCapabilities])) {
    const isMissing = meta[META.clientCapabilities] === undefined;
    return invalid(META.clientCapabilities, isMissing ? "missing" : "must be an object");
  }
  const info = meta[META.clientInfo];
  return info === undefined || isObject(info)
    ? undefined
    : invalid(META.clientInfo, "must be an object");
}

function headerProblem(
  method: string,
  params: Members,
  meta: Members,
  headers: Pick<Headers, "get">,
  isServed: (version: string) => boolean,
): Problem | undefined {
  const mismatch = (header: string, said: string): Problem => ({
    code: MODERN_CODES.headerMismatch,
    message: `Bad Request: the request headers and body disagree: ${said}`,
    data: { mismatch: { header, body: said } },
  });
  const claimed = String(meta[META.version]);
  const version = headers.get(MODERN_HEADERS.version);
  if (version !== null && version !== claimed) {
    return mismatch(version, `_meta names ${claimed} and MCP-Protocol-Version ${version}`);
  }
  const named = headers.get(MODERN_HEADERS.method);
  if (named !== null && named !== method) {
    return mismatch(named, `the body names method ${method} and Mcp-Method ${named}`);
  }
  if (!isServed(claimed)) return unsupported(claimed);
  if (version === null) return mismatch("(missing)", "MCP-Protocol-Version is missing");
  if (named === null) return mismatch("(missing)", "Mcp-Method is missing");
  const name = nameIn(method, params);
  if (name === undefined) return undefined;
  const header = headers.get(MODERN_HEADERS.name);
  if (header === null) return mismatch("(missing)", "Mcp-Name is missing");
  const decoded = decodedHeader(header);
  if (decoded === name) return undefined;
  const said = decoded === undefined ? "is not well encoded" : `names ${decoded}`;
  return mismatch(header, `the body names ${name} and Mcp-Name ${said}`);
}

function unsupported(requested: string): Problem {
  const what = isModernVersion(requested)
    ? "Unsupported protocol version"
    : "Not a stateless version";
  return {
    code: MODERN_CODES.unsupportedVersion,
    message: `${what}: ${requested}`,
    data: { supported: [MODERN_VERSION], requested },
  };
}

function refused(
  status: number,
  code: number,
  message: string,
  id?: RequestId,
  data?: unknown,
): ModernVerdict {
  return { kind: "refused", status, body: rpcError(code, message, id, data) };
}

function tokenIn(paramsText: string, { progressToken }: Members): string | undefined {
  const isToken = typeof progressToken === "string" || typeof progressToken === "number";
  return isToken ? memberText(memberText(paramsText, "_meta") ?? "", "progressToken") : undefined;
}

/** Members of `params` that belong to 2026-07-28 alone; and `task`, of an older one, which no client here could follow. */
const NOT_PASSED: ReadonlySet<string> = new Set([
  "_meta",
  "inputResponses",
  "requestState",
  "task",
]);

/** The keys of `_meta` that the older revisions do not have. */
const NOT_PASSED_META: ReadonlySet<string> = new Set([
  "progressToken",
  META.version,
  META.clientInfo,
  META.clientCapabilities,
  META.logLevel,
]);

/** The request as the older revisions write it, under an id of the gateway's own, which is its progress token too. */
export function legacyBody(
  { method, paramsText, progressToken }: ModernRequest,
  id: RequestId,
): string {
  const members = writtenWithout(paramsText, NOT_PASSED);
  const kept = writtenWithout(memberText(paramsText, "_meta"), NOT_PASSED_META);
  if (progressToken !== undefined) kept.push(`"progressToken":${id}`);
  if (kept.length > 0) members.push(`"_meta":{${kept.join(",")}}`);
  const written = JSON.stringify(method);
  return `{"jsonrpc":"2.0","id":${id},"method":${written},"params":{${members.join(",")}}}`;
}

/** The members of an object, each as it is written, but for those of these names. */
function writtenWithout(text: string | undefined, names: ReadonlySet<string>): string[] {
  return Object.entries(membersOf(text) ?? {})
    .filter(([key]) => !names.has(key))
    .map(([key, value]) => `${JSON.stringify(key)}:${value}`);
}

/** Capabilities of a client that both eras have. */
const SHARED_CAPABILITIES = ["elicitation", "experimental", "roots", "sampling"] as const;

/** The initialize request that opens an upstream session for such a client. */
export function initializeFor({
  clientInfo,
  capabilities,
}: Pick<ModernRequest, "clientInfo" | "capabilities">): string {
  const shared = SHARED_CAPABILITIES.flatMap((name) =>
    isObject(capabilities[name]) ? [[name, capabilities[name]] as const] : [],
  );
  const params = {
    protocolVersion: NEWEST_SESSION_VERSION,
    capabilities: Object.fromEntries(shared),
    clientInfo,
  };
  return JSON.stringify({ jsonrpc: "2.0", id: "holdfast-era", method: "initialize", params });
}
