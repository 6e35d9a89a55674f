/**
 * Initializes with a server of either era. It asks as a client with sessions first, so that traffic which
 * needs no bridge pays nothing; only a refusal that shows a server of the stateless era alone leads to the
 * bridge, and only if that server then answers `server/discover`.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { RPC_CODES } from "../json-rpc.ts";
import { HandshakeRefused, UpstreamError } from "../upstream/failure.ts";
import { mayMeanLost } from "../upstream/meaning.ts";
import type { Replica, Upstream } from "../upstream/upstream.ts";
import { isSessionVersion } from "../versions.ts";
import { learn, speaks } from "./speaks.ts";
import { METHOD_NOT_FOUND, MODERN_CODES } from "./wire.ts";

/** Initializes with `ask`, by the bridge or without it. Throws as that does. */
export async function inEitherEra<T>(
  upstream: Upstream,
  replica: Replica,
  ask: (bridged: boolean) => Promise<T>,
): Promise<T> {
  if (!replica.modern) return ask(false);
  const isModern = speaks(upstream, "legacy") === false;
  try {
    const made = await ask(isModern);
    if (!isModern) learn(upstream, "legacy", true);
    return made;
  } catch (refusal) {
    const mayBeOther = isModern ? mayBeLegacy(refusal) : mayBeModern(refusal);
    if (upstream.era !== undefined || !mayBeOther) throw refusal;
    const made = await ask(!isModern).catch((other: unknown) => {
      throw isOfModern(refusal) && isPassing(other) ? other : refusal;
    });
    learn(upstream, "legacy", isModern);
    learn(upstream, "modern", !isModern);
    return made;
  }
}

/** The codes with which a server of the stateless era alone refuses initialize: it asks for `_meta`, or knows no such method. */
const NOT_LEGACY: readonly unknown[] = [
  MODERN_CODES.unsupportedVersion,
  MODERN_CODES.headerMismatch,
  MODERN_CODES.missingCapability,
  METHOD_NOT_FOUND,
];

/** Whether a refusal of initialize may be that of a server of the stateless era alone. */
export function mayBeModern(refusal: unknown): boolean {
  if (refusal instanceof HandshakeRefused) {
    if (isOfCredentialOrLimit(refusal.status)) return false;
    const { code, message, data } = errorIn(refusal.body);
    const supported = isObject(data) && Array.isArray(data["supported"]) ? data["supported"] : [];
    if (supported.some((version) => isSessionVersion(String(version)))) return false;
    if (NOT_LEGACY.includes(code)) return true;
    const isOfForm = code === RPC_CODES.invalidParams || code === RPC_CODES.invalidRequest;
    return isOfForm && /_meta|protocol.?version/i.test(String(message));
  }
  return isPlainRefusal(refusal);
}

/** Whether only a server of the stateless era refuses so. */
function isOfModern(refusal: unknown): boolean {
  if (!(refusal instanceof HandshakeRefused)) return false;
  const { code } = errorIn(refusal.body);
  return Object.values<unknown>(MODERN_CODES).includes(code);
}

/** Whether a failure is about credentials, a limit or an outage: the client is to know that, and may come again. */
function isPassing(failure: unknown): boolean {
  if (failure instanceof HandshakeRefused) return isOfCredentialOrLimit(failure.status);
  if (!(failure instanceof UpstreamError)) return false;
  return failure.status === undefined || isOfCredentialOrLimit(failure.status);
}

/** Whether a refusal of `server/discover` may be that of a server with sessions alone. */
function mayBeLegacy(refusal: unknown): boolean {
  if (refusal instanceof HandshakeRefused) return !isOfCredentialOrLimit(refusal.status);
  return isPlainRefusal(refusal);
}

/** Whether a refusal has no JSON-RPC error and is about the method, or about a request of this form. */
function isPlainRefusal(refusal: unknown): boolean {
  const status = refusal instanceof UpstreamError ? refusal.status : undefined;
  if (status === undefined || isOfCredentialOrLimit(status)) return false;
  return mayMeanLost(status) || status === 405;
}

/** An answer about credentials, a limit or an outage says nothing about the era. */
function isOfCredentialOrLimit(status: number): boolean {
  return status === 401 || status === 403 || status === 429 || status >= 500;
}

function errorIn(body: string): Readonly<Record<string, unknown>> {
  const value = parseJson(body);
  return isObject(value) && isObject(value["error"]) ? value["error"] : {};
}
