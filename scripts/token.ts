/**
 * `npm run token -- --subject NAME --scopes SCOPE,SCOPE`: makes an API token.
 * Prints the secret, once, and the entry that goes into API_TOKENS.
 */
import { parseArgs } from "node:util";
import { newApiToken } from "../src/auth/api-tokens.ts";
import { isScope, SCOPES, type Scope } from "../src/auth/identity.ts";
import { MAX_SUBJECT_LENGTH } from "../src/core/limits.ts";

const USAGE = `usage: npm run token -- --subject NAME --scopes SCOPE[,SCOPE...]
scopes: ${SCOPES.join(", ")}`;

function readArguments(args: string[]): { subject: string; scopes: Scope[] } {
  const { values } = parseArgs({
    args,
    options: { subject: { type: "string" }, scopes: { type: "string", multiple: true } },
  });
  const { subject } = values;
  if (!subject || subject.length > MAX_SUBJECT_LENGTH) throw new Error("--subject is needed");
  const names = (values.scopes ?? []).flatMap((text) => text.split(/[\s,]+/)).filter(Boolean);
  const unknown = names.find((name) => !isScope(name));
  if (unknown !== undefined) throw new Error(`${JSON.stringify(unknown)} is not a scope`);
  if (names.length === 0) throw new Error("--scopes is needed");
  return { subject, scopes: [...new Set(names.filter(isScope))] };
}

try {
  const { subject, scopes } = readArguments(process.argv.slice(2));
  const { token, entry } = await newApiToken(subject, scopes);
  console.log(`token, shown only now:\n  ${token}\n`);
  console.log(`entry for the list in API_TOKENS:\n  ${JSON.stringify(entry)}`);
} catch (failure) {
  console.error(`${failure instanceof Error ? failure.message : String(failure)}\n${USAGE}`);
  process.exitCode = 1;
}
