/**
 * Reads from an answer which eras an upstream speaks. Pure. Nothing is concluded from an answer about credentials,
 * a limit or an outage.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { isModernVersion } from "../versions.ts";
import { DISCOVER, METHOD_NOT_FOUND, MODERN_CODES } from "./wire.ts";
import { RPC_CODES } from "../json-rpc.ts";

/** An answer to a request of the stateless revision. */
export interface ModernAnswer {
  readonly status: number;
  /** Its body, where that is JSON. */
  readonly text: string | undefined;
}

const ABOUT_SOMETHING_ELSE: ReadonlySet<number> = new Set([401, 402, 403, 407, 408, 413, 429]);

function saysNothing(status: number): boolean {
  return status >= 500 || (status >= 300 && status < 400) || ABOUT_SOMETHING_ELSE.has(status);
}

/** Whether `server/discover` was answered by a server of the stateless revision; undefined where nothing shows it. */
export function discoveryShows({ status, text }: ModernAnswer): boolean | undefined {
  if (saysNothing(status)) return undefined;
  const { result, error } = membersOf(text);
  if (result) return hasModern(result["supportedVersions"]);
  if (!error) return status >= 400 ? false : undefined;
  const { code, data } = error;
  if (code === MODERN_CODES.unsupportedVersion)
    return hasModern(isObject(data) && data["supported"]);
  // Only a server of that revision has these codes. They do not show that it serves a version of this client's.
  return code === MODERN_CODES.headerMismatch || code === MODERN_CODES.missingCapability;
}

/** Whether the answer to any other request shows it. */
export function answerShows(method: string, answer: ModernAnswer): boolean | undefined {
  if (method === DISCOVER) return discoveryShows(answer);
  if (saysNothing(answer.status)) return undefined;
  const { result, error } = membersOf(answer.text);
  if (result) return typeof result["resultType"] === "string" ? true : undefined;
  const code = error?.["code"];
  if (code === MODERN_CODES.unsupportedVersion) return discoveryShows(answer);
  const isModern = code === MODERN_CODES.headerMismatch || code === MODERN_CODES.missingCapability;
  return isModern ? true : undefined;
}

/**
 * Whether an answer is one that a server of the other era could have given, so that it is worth asking which one
 * this is. `isKnown`: it has answered as a server of the stateless revision before.
 */
export function isSuspect({ status, text }: ModernAnswer, isKnown: boolean): boolean {
  if (saysNothing(status)) return false;
  const { result, error } = membersOf(text);
  // An answer that may be the right one is no reason to ask.
  if (status < 400) return !isKnown && result !== undefined && result["resultType"] === undefined;
  const code = error?.["code"];
  return !(isKnown && (code === METHOD_NOT_FOUND || code === RPC_CODES.invalidParams));
}

/** Whether an answer says that the request was refused before anything was done for it. */
export function isRefusal({ status, text }: ModernAnswer): boolean {
  if (status < 400 || saysNothing(status)) return false;
  const { error } = membersOf(text);
  if (!error) return true;
  const { code, message } = error;
  if (code === METHOD_NOT_FOUND || code === MODERN_CODES.unsupportedVersion) return true;
  const isGeneral = [
    RPC_CODES.serverError,
    RPC_CODES.sessionNotFound,
    RPC_CODES.invalidRequest,
    RPC_CODES.invalidParams,
  ].some((one) => one === code);
  return isGeneral && /session|initiali[sz]|version/i.test(String(message));
}

type Members = Readonly<Record<string, unknown>>;

function membersOf(text: string | undefined): { result?: Members; error?: Members } {
  const value = text === undefined ? undefined : parseJson(text);
  if (!isObject(value) || value["jsonrpc"] !== "2.0") return {};
  const { result, error } = value;
  return { ...(isObject(result) && { result }), ...(isObject(error) && { error }) };
}

function hasModern(versions: unknown): boolean {
  return (
    Array.isArray(versions) &&
    versions.some((version) => typeof version === "string" && isModernVersion(version))
  );
}
