/** Who is calling, once the guard has let the request in. */
import type { Context } from "hono";
import type { Caller } from "../session/caller.ts";
import { knownScopes, SCOPES, type Scope } from "./scopes.ts";

export interface Identity extends Caller {
  readonly scopes: ReadonlySet<Scope>;
}

declare module "hono" {
  interface ContextVariableMap {
    /** Set by the guard, before any route runs. */
    identity: Identity;
  }
}

/** Where nobody is asked who they are, everybody may do everything. */
export const ANYBODY: Identity = { admin: true, scopes: new Set(SCOPES) };

/** Whom a public route serves: no scope, and nobody's sessions but nobody's. */
export const NOBODY: Identity = { admin: false, scopes: new Set() };

export function identityOf(subject: string, scopeNames: readonly string[]): Identity {
  const scopes = knownScopes(scopeNames);
  return { subject, admin: scopes.has("admin"), scopes };
}

/**
 * On whose behalf a request is served: what a route passes to `SessionHost.as`.
 * Throws where the guard has not run, so that a route mounted outside of it fails closed.
 */
export function callerOf(c: Context): Caller {
  const identity: Identity | undefined = c.get("identity");
  if (!identity) throw new Error("this route is not behind the guard");
  const { subject, admin } = identity;
  // It goes to the session's object, to which an undefined member would be carried too.
  return subject === undefined ? { admin } : { subject, admin };
}
