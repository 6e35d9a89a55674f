/** Reads results and notifications of 2026-07-28 for a client of the revisions with sessions. Pure. */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, withMember, withoutMember } from "../../wire/json-text.ts";
import { RPC_CODES, rpcError, type RequestId } from "../json-rpc.ts";
import { META, missingIn, MODERN_CODES, neededFor } from "./wire.ts";

/**
 * A response without what earlier revisions do not know; everything else is as it was written. A result of a
 * type that only the stateless revision and its extensions know is an error.
 */
export function plainResult(text: string): string {
  const result = memberText(text, "result");
  if (!result?.trimStart().startsWith("{")) return text;
  const type = parseJson(memberText(result, "resultType") ?? "");
  if (type !== undefined && type !== "complete") {
    const problem = `The upstream's result is of the type ${JSON.stringify(type)}, which no client with a session knows`;
    return rpcError(RPC_CODES.internalError, problem, memberText(text, "id"));
  }
  const plain = withoutMeta(withoutMember(result, "resultType"), META.serverInfo);
  return plain === result ? text : withMember(text, "result", plain);
}

/** A notification of a subscription without the mark that says which. */
export function plainNotification(text: string): string {
  const params = memberText(text, "params");
  if (!params?.includes(META.subscriptionId)) return text;
  return withMember(text, "params", withoutMeta(params, META.subscriptionId));
}

/** The object without this key of its `_meta`, and without an empty `_meta`. */
function withoutMeta(text: string, key: string): string {
  const meta = memberText(text, "_meta");
  if (!meta?.includes(key)) return text;
  const rest = withoutMember(meta, key);
  const isEmpty = /^\{\s*\}$/.test(rest);
  return isEmpty ? withoutMember(text, "_meta") : withMember(text, "_meta", rest);
}

/** A result that asks the client for something. */
export interface Asked {
  /** By the server's own names. The parameters are as it wrote them. */
  readonly requests: readonly {
    readonly key: string;
    readonly method: unknown;
    readonly params: string | undefined;
  }[];
  readonly state: string | undefined;
}

/** Reads a response; undefined where it does not ask. */
export function askedIn(text: string): Asked | undefined {
  if (!text.includes("input_required")) return undefined;
  const result = memberText(text, "result") ?? "";
  const value = parseJson(result);
  if (!isObject(value) || value["resultType"] !== "input_required") return undefined;
  const { inputRequests, requestState: state } = value;
  const texts = memberText(result, "inputRequests") ?? "";
  const requests = Object.entries(isObject(inputRequests) ? inputRequests : {}).map(
    ([key, one]) => ({
      key,
      method: isObject(one) ? one["method"] : undefined,
      params: memberText(memberText(texts, key) ?? "", "params"),
    }),
  );
  return { requests, state: typeof state === "string" ? state : undefined };
}

export interface Question {
  /** The id of the request to the client. */
  readonly id: RequestId;
  readonly key: string;
}

export type Questions =
  /** `texts` are the requests to the client, in the order of `questions`. */
  | {
      readonly kind: "asked";
      readonly questions: readonly Question[];
      readonly texts: readonly string[];
    }
  /** The client cannot be asked this. `answer` is the response to the call. */
  | { readonly kind: "refused"; readonly answer: string };

/**
 * The requests to the client that a result asks for; `newId` makes an id for each. A client is not asked for
 * something that it has no capability for: the call `request` gets the error of 2026-07-28 for that.
 */
export function questionsOf(
  { requests, state }: Asked,
  request: RequestId,
  capabilities: Readonly<Record<string, unknown>>,
  newId: () => string,
): Questions {
  const refused = (code: number, message: string, data?: unknown): Questions => ({
    kind: "refused",
    answer: rpcError(code, message, request, data),
  });
  if (requests.length === 0 && state === undefined) {
    return refused(RPC_CODES.internalError, "The upstream asks for input and does not say which");
  }
  const questions: Question[] = [];
  const texts: string[] = [];
  for (const { key, method, params } of requests) {
    const needed = neededFor(String(method), parseJson(params ?? ""));
    if (typeof method !== "string" || !needed) {
      const what = JSON.stringify(method);
      return refused(
        RPC_CODES.internalError,
        `The upstream asks for ${what}, which no client does`,
      );
    }
    const missing = missingIn(capabilities, needed);
    if (missing) {
      const message = `The client has no capability for ${method}, which the upstream asks for`;
      const data = { requiredCapabilities: missing };
      return refused(MODERN_CODES.missingCapability, message, data);
    }
    const id = JSON.stringify(newId());
    questions.push({ id, key });
    texts.push(questionText(id, method, params));
  }
  return { kind: "asked", questions, texts };
}

function questionText(id: RequestId, method: string, params: string | undefined): string {
  let given = params;
  const value = parseJson(given ?? "");
  // 2025-11-25 demands an id of each elicitation by URL; 2026-07-28 has none.
  if (given !== undefined && isObject(value) && value["mode"] === "url" && !value["elicitationId"])
    given = withMember(given, "elicitationId", id);
  const rest = given === undefined ? "" : `,"params":${given}`;
  return `{"jsonrpc":"2.0","id":${id},"method":${JSON.stringify(method)}${rest}}`;
}
