/** Reads the variables of access control once, into validated and frozen settings. */
import * as z from "zod";
import { ConfigError, integer, refusal, text, type Environment } from "../config/env.ts";
import type { UpstreamsSettings } from "../config/upstreams.ts";
import { MAX_SUBJECT_LENGTH } from "../core/limits.ts";
import type { ApiToken } from "./api-tokens.ts";
import type { JwtSettings } from "./jwt.ts";
import { parseJson } from "../wire/json.ts";
import { isLoopbackName, pageOriginOf, parseHost, webOriginOf } from "./origin.ts";
import { SCOPES } from "./identity.ts";

/** Names of the variables that this file reads. */
export const AUTH_VARIABLES = [
  "AUTH",
  "API_TOKENS",
  "JWT_ISSUER",
  "JWT_AUDIENCE",
  "JWKS_URL",
  "TICKET_SECRET",
  "TICKET_TTL_SECONDS",
  "PUBLIC_URL",
  "ALLOWED_ORIGINS",
  "ALLOWED_HOSTS",
  "RATE_LIMIT_PER_SUBJECT",
  "RATE_LIMIT_PER_ADDRESS",
] as const;

type AuthVariable = (typeof AUTH_VARIABLES)[number];

type AuthEnvironment = Environment<AuthVariable>;

type AuthMethod =
  /** `AUTH` is not set: anybody may call, but from this machine only. */
  | { readonly kind: "unset" }
  /** `AUTH=none`: anybody may call. */
  | { readonly kind: "none" }
  /** The app that the service is a part of identifies the caller. */
  | { readonly kind: "own" }
  | { readonly kind: "token"; readonly tokens: readonly ApiToken[] }
  | ({ readonly kind: "jwt" } & JwtSettings);

/** Settings that an app gives in code, and no variable can. */
export interface CodeSettings {
  /** The app identifies the caller, in place of `AUTH`. */
  readonly ownAuthentication?: boolean;
  /** The path under which the app serves the service, such as `/live`; empty: the root. */
  readonly basePath?: string;
  /** Whether pages of the allowed origins may send cookies. */
  readonly credentials?: boolean;
}

export interface AuthSettings {
  readonly method: AuthMethod;
  /** `TICKET_SECRET`: the first one signs tickets, every one verifies them. Empty: tickets are off. */
  readonly ticketSecrets: readonly string[];
  /** `TICKET_TTL_SECONDS` (60): how long a ticket is valid. */
  readonly ticketTtlMs: number;
  /** `PUBLIC_URL`: the origin under which clients reach the service; the request's if unset. */
  readonly publicOrigin?: string;
  /** `ALLOWED_ORIGINS` (none): origins whose pages may call. */
  readonly allowedOrigins: ReadonlySet<string>;
  /** `ALLOWED_HOSTS` (every host): hosts to serve, besides those of this machine. */
  readonly allowedHosts?: ReadonlySet<string>;
  /** `RATE_LIMIT_PER_SUBJECT` (30000): requests a minute; 0: no limit, the default while `AUTH` is unset. */
  readonly perSubject: number;
  /** `RATE_LIMIT_PER_ADDRESS` (60000): likewise, from one address. */
  readonly perAddress: number;
  /** Where the routes begin: empty, or a path without a slash at its end. */
  readonly basePath: string;
  /** Whether pages of the allowed origins may send cookies. */
  readonly credentials: boolean;
}

/** Requests a minute: 500 and 1,000 a second. No person and no agent sends so many, and they bound what one can cost. */
const PER_SUBJECT = 30_000;
const PER_ADDRESS = 60_000;
const MOST_PER_MINUTE = 10_000_000;
const LONGEST_TICKET_TTL_SECONDS = 3600;
/** Characters: 32 of base64 hold 192 bits. */
const LEAST_SECRET_LENGTH = 32;
const ORIGINS =
  "a list of origins such as https://app.example or chrome-extension://ID, without `*`";
const HOSTS = "a list of host names, with a port or without, without `*`; unset serves every host";

const apiTokens = z
  .array(
    z.strictObject({
      sha256: z.string().regex(/^[0-9a-fA-F]{64}$/, "must be 64 hex digits"),
      subject: z
        .string()
        .min(1)
        .max(MAX_SUBJECT_LENGTH)
        .refine((text) => text.isWellFormed(), "must not hold half a surrogate pair"),
      scopes: z.array(z.enum(SCOPES)),
    }),
  )
  .min(1);

/** Reads the settings. Throws a ConfigError that names the first bad variable, and never repeats a secret. */
export function loadAuthSettings(env: Environment, code: CodeSettings = {}): AuthSettings {
  const method = code.ownAuthentication ? ownMethod(env) : methodOf(env);
  const perMinute = (name: AuthVariable, usual: number) =>
    number(env, name, method.kind === "unset" ? 0 : usual, 0, MOST_PER_MINUTE);
  const publicOrigin = publicOriginOf(env);
  const allowedHosts = setOf(env, "ALLOWED_HOSTS", (entry) => parseHost(entry)?.host, HOSTS);
  // A list without an entry would allow any host, as no list does.
  if (allowedHosts.size === 0 && text(env, "ALLOWED_HOSTS")) throw refusal("ALLOWED_HOSTS", HOSTS);
  return Object.freeze({
    method,
    ticketSecrets: ticketSecretsOf(env),
    ticketTtlMs: 1000 * number(env, "TICKET_TTL_SECONDS", 60, 1, LONGEST_TICKET_TTL_SECONDS),
    ...(publicOrigin !== undefined && { publicOrigin }),
    allowedOrigins: setOf(env, "ALLOWED_ORIGINS", pageOriginOf, ORIGINS),
    ...(allowedHosts.size > 0 && { allowedHosts }),
    perSubject: perMinute("RATE_LIMIT_PER_SUBJECT", PER_SUBJECT),
    perAddress: perMinute("RATE_LIMIT_PER_ADDRESS", PER_ADDRESS),
    basePath: code.basePath ?? "",
    credentials: code.credentials ?? false,
  });
}

/**
 * A token that was made for this service must not reach an upstream, which could use it here, unless
 * the operator names the header on purpose. Throws a ConfigError that names the upstream.
 */
export function refuseForwardedTokens(
  { method }: AuthSettings,
  upstreams: UpstreamsSettings,
): void {
  if (method.kind !== "token" && method.kind !== "jwt") return;
  for (const [name, upstream] of Object.entries(upstreams)) {
    if (upstream === "demo" || "server" in upstream) continue;
    if (upstream.forwardAuthorization !== true) continue;
    const why = `would pass on tokens made for this service (AUTH=${method.kind})`;
    const instead = "name the header that carries the upstream's credential instead";
    throw new ConfigError(`UPSTREAMS ${name}: forwardAuthorization true ${why}; ${instead}`);
  }
}

/** The app's own method. Throws if `AUTH` is set too: it would be unclear which of the two decides. */
function ownMethod(env: AuthEnvironment): AuthMethod {
  if (text(env, "AUTH") === undefined) return { kind: "own" };
  throw new ConfigError("AUTH must be unset where the app authenticates by its own function");
}

function methodOf(env: AuthEnvironment): AuthMethod {
  const kind = text(env, "AUTH");
  switch (kind) {
    case undefined:
      return { kind: "unset" };
    case "none":
      return { kind };
    case "token":
      return { kind, tokens: apiTokensOf(env) };
    case "jwt":
      return {
        kind,
        issuer: issuerOf(env),
        audience: required(env, "JWT_AUDIENCE"),
        jwksUrl: jwksUrlOf(env),
      };
    default:
      throw refusal("AUTH", "token, jwt or none");
  }
}

function apiTokensOf(env: AuthEnvironment): readonly ApiToken[] {
  const expected = 'a JSON list of {"sha256", "subject", "scopes"}; npm run token makes an entry';
  const result = apiTokens.safeParse(parseJson(required(env, "API_TOKENS")));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw refusal("API_TOKENS", `${expected} (${issue?.path.join(".")}: ${issue?.message})`);
}

/** A `#` parts issuer and subject in a session's owner, so an issuer with one could name another's subjects. */
function issuerOf(env: AuthEnvironment): string {
  const issuer = required(env, "JWT_ISSUER");
  if (issuer.includes("#")) throw refusal("JWT_ISSUER", "an issuer without a fragment (#)");
  return issuer;
}

function jwksUrlOf(env: AuthEnvironment): string {
  const url = URL.parse(required(env, "JWKS_URL"));
  const secure =
    url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackName(url.hostname));
  if (!url || !secure || url.username || url.password) {
    throw refusal("JWKS_URL", "an https URL without credentials");
  }
  return url.href;
}

function ticketSecretsOf(env: AuthEnvironment): readonly string[] {
  const secrets = list(env, "TICKET_SECRET");
  if (secrets.length > 2 || secrets.some((secret) => secret.length < LEAST_SECRET_LENGTH)) {
    const expected = `one secret of at least ${LEAST_SECRET_LENGTH} characters, or two: the new one, then the old`;
    throw refusal("TICKET_SECRET", expected);
  }
  return secrets;
}

function publicOriginOf(env: AuthEnvironment): string | undefined {
  const value = text(env, "PUBLIC_URL");
  if (value === undefined) return undefined;
  const origin = webOriginOf(value.replace(/\/$/, ""));
  if (origin !== undefined && !origin.includes("*")) return origin;
  throw refusal("PUBLIC_URL", "an origin such as https://sessions.example");
}

/** Parses each entry of a list. Throws where `parse` returns undefined for one. */
function setOf(
  env: AuthEnvironment,
  name: AuthVariable,
  parse: (entry: string) => string | undefined,
  expected: string,
): ReadonlySet<string> {
  // The URL parser takes `*` as a name like any other, and no request would ever have it. It reads other
  // texts as a `*` too, such as `%2A`.
  const entries = list(env, name).map((entry) => parse(entry));
  if (entries.some((entry) => entry === undefined || entry.includes("*"))) {
    throw refusal(name, expected);
  }
  return new Set(entries as string[]);
}

/** Reads a list: separated by commas, or JSON. */
function list(env: AuthEnvironment, name: AuthVariable): readonly string[] {
  const value = text(env, name);
  if (value === undefined) return [];
  const entries: unknown = value.startsWith("[") ? parseJson(value) : value.split(",");
  if (!Array.isArray(entries) || entries.some((entry) => typeof entry !== "string")) {
    throw refusal(name, "a list: separated by commas, or JSON");
  }
  return entries.map((entry: string) => entry.trim()).filter((entry) => entry !== "");
}

/** These refusals never quote the value: it may be a secret, set under the wrong name. */
function number(
  env: AuthEnvironment,
  name: AuthVariable,
  fallback: number,
  least: number,
  most: number,
): number {
  return integer(env, name, fallback, least, most, false);
}

function required(env: AuthEnvironment, name: AuthVariable): string {
  const value = text(env, name);
  if (value !== undefined) return value;
  throw new ConfigError(`${name} must be set where AUTH is ${text(env, "AUTH")}`);
}
