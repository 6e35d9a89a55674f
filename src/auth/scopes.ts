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

/** The scopes among these names; others belong to other services and mean nothing here. */
export function knownScopes(names: readonly string[]): ReadonlySet<Scope> {
  return new Set(names.filter(isScope));
}

export function grants(scopes: ReadonlySet<Scope>, needed: Scope): boolean {
  return scopes.has(needed) || scopes.has("admin");
}
