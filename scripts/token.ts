/** `holdfast token` and `npm run token`: make an API token. */
import { newApiToken } from "../src/auth/api-tokens.ts";
import { isScope, SCOPES, type Scope } from "../src/auth/identity.ts";
import { MAX_SUBJECT_LENGTH } from "../src/core/limits.ts";
import { OptionError, parseOptions } from "./command-line.ts";

interface Arguments {
  readonly subject: string;
  readonly scopes: readonly Scope[];
}

function readArguments(values: { subject?: string; scopes?: string[] }): Arguments {
  const { subject } = values;
  if (!subject || subject.length > MAX_SUBJECT_LENGTH) throw new OptionError("--subject is needed");
  const names = (values.scopes ?? []).flatMap((text) => text.split(/[\s,]+/)).filter(Boolean);
  const unknown = names.find((name) => !isScope(name));
  if (unknown !== undefined) throw new OptionError(`${JSON.stringify(unknown)} is not a scope`);
  if (names.length === 0) throw new OptionError("--scopes is needed");
  return { subject, scopes: [...new Set(names.filter(isScope))] };
}

function usageOf(command: string): string {
  return `usage: ${command} --subject NAME --scopes SCOPE[,SCOPE...] [--json]
scopes: ${SCOPES.join(", ")}`;
}

/**
 * Prints the secret, once, and the entry that goes into API_TOKENS. `command` is how it was called.
 * Throws an OptionError.
 */
export async function printToken(args: readonly string[], command: string): Promise<void> {
  const { values } = parseOptions(args, {
    subject: { type: "string" },
    scopes: { type: "string", multiple: true },
    json: { type: "boolean" },
    help: { type: "boolean" },
  });
  if (values.help === true) {
    console.log(`${usageOf(command)}

example: ${command} --subject alice --scopes sessions:read,sessions:write,events:publish`);
    return;
  }
  const { subject, scopes } = readArguments(values);
  const { token, entry } = await newApiToken(subject, [...scopes]);
  if (values.json === true) return console.log(JSON.stringify({ token, entry }));
  console.log(`token, shown only now:\n  ${token}\n`);
  console.log(`entry for the list in API_TOKENS:\n  ${JSON.stringify(entry)}`);
}

if (import.meta.main) {
  const command = "npm run token --";
  try {
    await printToken(process.argv.slice(2), command);
  } catch (failure) {
    console.error(
      `${failure instanceof Error ? failure.message : String(failure)}\n${usageOf(command)}`,
    );
    process.exitCode = 1;
  }
}
