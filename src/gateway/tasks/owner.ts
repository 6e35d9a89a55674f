/** Finds the owner of a task. */
import type { Caller } from "../../core/caller.ts";
import { credentialPrincipal } from "../eras/era-session.ts";
import { forwardedHeaders, type GatewayCall } from "../request.ts";

/**
 * The caller as the owner of its tasks. A caller that this service has not identified is known by the credential
 * that it sends to the upstream: another credential finds none of its tasks. Without that as well, anybody who
 * knows the id of a task may ask for it, as with a session.
 */
export async function ownerOf(call: GatewayCall): Promise<Caller> {
  const { caller } = call;
  if (caller.subject !== undefined) return caller;
  const { authorization } = forwardedHeaders(call);
  if (authorization === undefined) return caller;
  return { subject: await credentialPrincipal(authorization), admin: false };
}
