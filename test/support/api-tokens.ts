/** API tokens for tests: made as `npm run token` makes them. */
import { newApiToken } from "../../src/auth/api-tokens.ts";
import type { Scope } from "../../src/auth/identity.ts";

export type Grants = Readonly<Record<string, readonly [subject: string, scopes: readonly Scope[]]>>;

export interface TestTokens {
  /** The value of API_TOKENS. */
  readonly variable: string;
  readonly secrets: readonly string[];
  /** `Authorization` headers by the names of the grants. */
  readonly headers: Readonly<Record<string, { authorization: string }>>;
}

export async function apiTokens(grants: Grants): Promise<TestTokens> {
  const made = await Promise.all(
    Object.entries(grants).map(async ([name, [subject, scopes]]) => ({
      name,
      ...(await newApiToken(subject, scopes)),
    })),
  );
  return {
    variable: JSON.stringify(made.map(({ entry }) => entry)),
    secrets: made.map(({ token }) => token),
    headers: Object.fromEntries(
      made.map(({ name, token }) => [name, { authorization: `Bearer ${token}` }]),
    ),
  };
}
