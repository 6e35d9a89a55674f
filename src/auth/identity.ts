/** The identity of a caller, and the scopes that a credential grants. */
import type { Caller } from "../core/caller.ts";
export const SCOPES = [
  "sessions:read",
  "sessions:write",
  "events:publish",
  "events:subscribe",
  "mcp",
  /** Allows everything, on everybody's sessions. */
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

/** The caller of a service that asks for no credential: it may do everything. */
export const ANYBODY: Identity = { admin: true, scopes: new Set(SCOPES) };

/** The caller of a public route: it has no scope and owns no subject's sessions. */
export const NOBODY: Identity = { admin: false, scopes: new Set() };

/** Ignores names that are not scopes of this service: a token may carry those of other services. */
export function identityOf(subject: string, scopeNames: readonly string[]): Identity {
  const scopes = new Set(scopeNames.filter(isScope));
  return { subject, admin: scopes.has("admin"), scopes };
}

/** The caller as a route passes it to `SessionHost.as`. */
export function callerOf({ subject, admin }: Identity): Caller {
  // RPC to the session's object would carry an undefined member too.
  return subject === undefined ? { admin } : { subject, admin };
}
