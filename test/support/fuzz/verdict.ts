/** Judges an answer: no request may get a 500, or read of our insides. */
import type { FuzzAnswer } from "./client.ts";
import type { FuzzRequest } from "./requests.ts";

export interface Forbidden {
  /** Texts that no answer to the fuzzer's callers may hold. */
  readonly secrets: readonly string[];
  /** Any request may be refused with 503 and `Retry-After`. */
  readonly mayRefuse?: boolean;
}

/** 503s that the contract names and that a caller brings about on its own session. */
const EXPECTED_503 = /"code":"(session_disconnected|message_channel_full)"/;

/** workerd's own refusal of a method that it does not know: no Worker sees such a request. */
const RUNTIME_501 = "ERROR: Unrecognized request method.";

/** Looks like a stack, a path or a module. */
const INNARDS =
  /\bat [^"\n]*:\d+:\d+|worker\.js|node_modules|\.ts:\d|\/(home|root|usr|tmp|work)\/|SQLITE|Durable Object/;

/** Paths that are served to anybody. */
const PUBLIC = /^\/+(healthz|readyz|openapi\.json|\.well-known\/oauth-protected-resource)/i;

/** Why the answer is a finding; undefined where it is none. */
export function findingOf(
  { method, target, authenticated, headers }: FuzzRequest,
  answer: FuzzAnswer | string,
  { secrets, mayRefuse = false }: Forbidden,
): string | undefined {
  if (typeof answer === "string") return answer;
  const { status, body } = answer;
  if (status === 501 && body === RUNTIME_501) return undefined;
  const mayBe503 = EXPECTED_503.test(body) || (mayRefuse && /^retry-after$/im.test(answer.headers));
  if (status >= 500 && !(status === 503 && mayBe503)) return `answered ${status}`;
  const all = `${answer.headers}\n${body}`;
  const leaked = secrets.find((secret) => all.includes(secret));
  if (leaked !== undefined) return "leaked a secret";
  if (INNARDS.test(all)) return "leaked its innards";
  if (/^x-injected/im.test(answer.headers)) return "let a header in";
  if (!authenticated && status < 300 && !PUBLIC.test(target)) {
    return `let nobody in with ${headers["authorization"] ?? "no credential"}`;
  }
  const json = /^content-type\n[^\n]*json/im.test(answer.headers);
  // A HEAD has no body, and MCP's own errors are JSON-RPC.
  if (status >= 400 && json && method !== "HEAD" && !/"(code|error)":/.test(body))
    return "is an error without a code";
  return undefined;
}
