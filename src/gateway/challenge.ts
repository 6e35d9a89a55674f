/** The challenge of an upstream (`WWW-Authenticate`, RFC 9110, 11.6.1) as the gateway's client may read it. */
import { quoted } from "../http/oauth-metadata.ts";

const SEPARATORS = /[\s,]*/y;
/** A name with a value, quoted or bare. Some servers leave a URL bare, which the grammar does not take. */
const PARAMETER = /([\w!#$%&'*+.^`|~-]+)\s*=\s*(?:"(?:[^"\\]|\\.)*"|[^\s,"=]+)/y;
/** A scheme, or the one value of a scheme without parameters. */
const WORD = /[\w!#$%&'*+.^`|~/-]+=*/y;

/**
 * Replaces the upstream's resource and metadata in a challenge by the gateway's own. A client
 * refuses those of any URL but the one that it calls. The rest stays as it is. Returns undefined for
 * a challenge that cannot be parsed: it could hold the upstream's URL anywhere.
 *
 * @example
 * ownChallenge('Bearer resource="https://up.example/mcp"', { resource: "https://us.example/mcp", metadata: "…" })
 * // 'Bearer resource="https://us.example/mcp"'
 */
export function ownChallenge(
  challenge: string,
  { resource, metadata }: { readonly resource: string; readonly metadata: string },
): string | undefined {
  const own: Readonly<Record<string, string>> = { resource, resource_metadata: metadata };
  return rewritten(challenge, (name, text) => {
    const value = own[name.toLowerCase()];
    return value === undefined ? text : `${name}=${quoted(value)}`;
  });
}

/** The URL of the resource's metadata (RFC 9728, 5.1) that a challenge names, if it names one. */
export function metadataIn(challenge: string): string | undefined {
  let found: string | undefined;
  rewritten(challenge, (name, text) => {
    if (name.toLowerCase() === "resource_metadata") found ??= valueOf(text);
    return text;
  });
  return found;
}

/** The challenge with each of its words as `rewrite` writes it; undefined for one that cannot be parsed. */
function rewritten(
  challenge: string,
  rewrite: (name: string, text: string) => string,
): string | undefined {
  let written = "";
  for (let at = 0; at < challenge.length;) {
    const separators = matchAt(SEPARATORS, challenge, at)?.[0] ?? "";
    written += separators;
    at += separators.length;
    if (at >= challenge.length) break;
    const found = matchAt(PARAMETER, challenge, at) ?? matchAt(WORD, challenge, at);
    if (!found) return undefined;
    const [text, name = ""] = found;
    written += rewrite(name, text);
    at += text.length;
  }
  return written;
}

/** The value of a parameter as text, without its quotes. */
function valueOf(parameter: string): string {
  const value = parameter.slice(parameter.indexOf("=") + 1).trim();
  return value.startsWith('"') ? value.slice(1, -1).replaceAll(/\\(.)/g, "$1") : value;
}

function matchAt(pattern: RegExp, text: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at;
  return pattern.exec(text);
}
