/** Access control as the guard uses it. The Worker makes it once, from the settings and its platform. */
import { parseSessionId } from "../core/id.ts";
import { apiTokenReader, newSecret, type TokenReader } from "./api-tokens.ts";
import { ANYBODY, type Identity } from "./identity.ts";
import { Jwks } from "./jwks.ts";
import { jwtReader } from "./jwt.ts";
import {
  boundLimiter,
  TokenBuckets,
  type RateLimitBinding,
  type RateLimiter,
} from "./rate-limit.ts";
import type { AuthSettings } from "./settings.ts";
import { Tickets } from "./ticket.ts";

export interface AccessPlatform {
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>;
  readonly now?: () => number;
  /** The client's address, from a place that the client cannot write. */
  readonly addressOf?: (request: Request) => string | undefined;
  /** Whether this machine itself sent a request. Absent: the platform gives no addresses, and `Host` alone decides. */
  readonly isFromThisMachine?: (request: Request, headers: ReadonlyMap<string, string>) => boolean;
  readonly subjectLimit?: RateLimitBinding | undefined;
  readonly addressLimit?: RateLimitBinding | undefined;
  /** Keeps a request's work alive after its answer. */
  readonly waitUntil?: (work: Promise<unknown>) => void;
  /** Identifies the caller, in place of the settings' method. Returns undefined for one that the app does not know. */
  readonly authenticate?: ((request: Request) => Promise<Identity | undefined>) | undefined;
  /** Called when fetching the authorization server's keys fails. */
  readonly onKeysFailure?: (failure: unknown) => void;
}

/** An identity, or why there is none. "missing": the request has no credential, or none of the scheme Bearer. */
type Credential = Identity | "missing" | "invalid";

export interface Access {
  readonly settings: AuthSettings;
  /**
   * Reads a request's credential, which is its `Authorization` header unless the app authenticates.
   * Throws UnavailableError while the keys to check it cannot be fetched.
   */
  credential(authorization: string | undefined, request: Request): Promise<Credential>;
  /** Reads a ticket for the session that a path names. */
  ticketHolder(ticket: string, session: string): Promise<Credential>;
  /** Whether tokens can be checked: with `AUTH=jwt` the issuer's keys must be there. */
  readonly canCheckTokens: () => Promise<boolean>;
  /** Returns undefined while tickets are off. */
  readonly tickets: () => Tickets | undefined;
  readonly now: () => number;
  readonly addressOf: (request: Request) => string | undefined;
  readonly isFromThisMachine: (request: Request, headers: ReadonlyMap<string, string>) => boolean;
  readonly subjectLimiter: RateLimiter | undefined;
  readonly addressLimiter: RateLimiter | undefined;
}

const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i;

export function createAccess(settings: AuthSettings, platform: AccessPlatform = {}): Access {
  const now = platform.now ?? (() => Date.now());
  // A limit of 0 means no limit, even with a binding.
  const limiter = (perMinute: number, binding: RateLimitBinding | undefined) => {
    if (perMinute === 0) return undefined;
    return binding ? boundLimiter(binding) : new TokenBuckets(perMinute, now);
  };
  const { read, canCheckTokens } = tokenReader(settings, platform, now);
  const tickets = ticketsOf(settings);
  return {
    settings,
    canCheckTokens,
    tickets,
    now,
    addressOf: platform.addressOf ?? (() => undefined),
    isFromThisMachine: platform.isFromThisMachine ?? (() => true),
    subjectLimiter: limiter(settings.perSubject, platform.subjectLimit),
    addressLimiter: limiter(settings.perAddress, platform.addressLimit),
    async credential(authorization, request) {
      if (platform.authenticate) return (await platform.authenticate(request)) ?? "missing";
      if (!read) return ANYBODY;
      if (authorization === undefined || !/^Bearer\b/i.test(authorization)) return "missing";
      const token = BEARER.exec(authorization)?.[1];
      return (token !== undefined && (await read(token))) || "invalid";
    },
    async ticketHolder(ticket, session) {
      const id = parseSessionId(session);
      const claims = id && (await tickets()?.verify(ticket, id, now()));
      if (!claims) return "invalid";
      return { subject: claims.subject, admin: false, scopes: new Set(["events:subscribe"]) };
    },
  };
}

/** `read` is undefined if callers need no token. */
function tokenReader(
  { method }: AuthSettings,
  platform: AccessPlatform,
  now: () => number,
): { readonly read: TokenReader | undefined } & Pick<Access, "canCheckTokens"> {
  const canCheckTokens = () => Promise.resolve(true);
  if (method.kind === "token") return { read: apiTokenReader(method.tokens), canCheckTokens };
  if (method.kind !== "jwt") return { read: undefined, canCheckTokens };
  const options = {
    fetch: platform.fetch ?? ((url: string, init: RequestInit) => fetch(url, init)),
    now,
    ...(platform.waitUntil && { waitUntil: platform.waitUntil }),
    ...(platform.onKeysFailure && { onFailure: platform.onKeysFailure }),
  };
  const jwks = new Jwks({ url: method.jwksUrl, ...options });
  return {
    read: jwtReader(method, options, jwks),
    canCheckTokens: () => jwks.available(),
  };
}

/** While `AUTH` is unset, the service makes up a secret if none is configured. Otherwise tickets are off without one. */
function ticketsOf({ method, ticketSecrets }: AuthSettings): () => Tickets | undefined {
  let tickets = ticketSecrets.length > 0 ? new Tickets(ticketSecrets) : undefined;
  if (tickets || method.kind !== "unset") return () => tickets;
  // A Worker gives no random numbers while a module loads, so the first use makes the secret.
  return () => (tickets ??= new Tickets([newSecret()]));
}
