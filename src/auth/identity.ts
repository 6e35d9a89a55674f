/** Who is calling, once the guard has let the request in. */
import type { Caller } from "../core/caller.ts";
/** What a credential allows. */

export const SCOPES = [
  "sessions:read",
  "sessions:write",
  "events:publish",
  "events:subscribe",
  "mcp",
  /** Everything, on everybody's sessions. */
  "admin",
] as const;

export type Scope = (typeof SCOPES)[number];

export function isScope(text: string): text is Scope {
  return SCOPES.some((scope) => scope === text);
}

export function grants(scopes: ReadonlySet<Scope>, needed: Scope): boolean {
  return scopes.has(needed) || scopes.has("admin");
}

export interface Identity extends Caller {
  readonly scopes: ReadonlySet<Scope>;
}

/** Where nobody is asked who they are, everybody may do everything. */
export const ANYBODY: Identity = { admin: true, scopes: new Set(SCOPES) };

/** Whom a public route serves: no scope, and nobody's sessions but nobody's. */
export const NOBODY: Identity = { admin: false, scopes: new Set() };

/** Names that are no scope of ours belong to other services, and mean nothing here. */
export function identityOf(subject: string, scopeNames: readonly string[]): Identity {
  const scopes = new Set(scopeNames.filter(isScope));
  return { subject, admin: scopes.has("admin"), scopes };
}

/** On whose behalf a request is served: what a route passes to `SessionHost.as`. */
export function callerOf({ subject, admin }: Identity): Caller {
  // It goes to the session's object, to which an undefined member would be carried too.
  return subject === undefined ? { admin } : { subject, admin };
}
