/** Whose a task is. */
import { CREDENTIAL_OWNER } from "../../core/caller.ts";
import type { Caller } from "../../core/caller.ts";
import { forwardedHeaders, type GatewayCall } from "../request.ts";

/**
 * The caller as the owner of its tasks. One that this service has not identified is known by the credential
 * that it sends to the upstream: another credential finds none of its tasks. Without that as well, whoever
 * knows the id of a task may ask for it, as with a session.
 */
export async function ownerOf(call: GatewayCall): Promise<Caller> {
  const { caller } = call;
  if (caller.subject !== undefined) return caller;
  const { authorization } = forwardedHeaders(call);
  if (authorization === undefined) return caller;
  const bytes = new TextEncoder().encode(authorization);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { subject: CREDENTIAL_OWNER + hex, admin: false };
}
