/** Access control as a whole: what the guard asks. Made once, from the settings and what the platform gives. */
import { parseSessionId } from "../core/id.ts";
import { apiTokenReader, newSecret, type TokenReader } from "./api-tokens.ts";
import { ANYBODY, type Identity } from "./identity.ts";
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
  /** The client's address, from where the client itself cannot have written it. */
  readonly addressOf?: (request: Request) => string | undefined;
  readonly subjectLimit?: RateLimitBinding | undefined;
  readonly addressLimit?: RateLimitBinding | undefined;
  /** Told when the authorization server's keys could not be fetched. */
  readonly onKeysFailure?: (failure: unknown) => void;
}

/** Whom a credential names; "missing" where there is none, or none of a kind that is known here. */
export type Credential = Identity | "missing" | "invalid";

export interface Access {
  readonly settings: AuthSettings;
  /** Who an `Authorization` header says is calling. Throws UnavailableError where that cannot be known now. */
  credential(authorization: string | undefined): Promise<Credential>;
  /** Whom a ticket lets follow the session that a path names. */
  ticketHolder(ticket: string, session: string): Promise<Credential>;
  /** Undefined where tickets are off. */
  readonly tickets: () => Tickets | undefined;
  readonly now: () => number;
  readonly addressOf: (request: Request) => string | undefined;
  readonly subjectLimiter: RateLimiter | undefined;
  readonly addressLimiter: RateLimiter | undefined;
}

const BEARER = /^Bearer +([A-Za-z0-9\-._~+/]+=*) *$/i;

export function createAccess(settings: AuthSettings, platform: AccessPlatform = {}): Access {
  const now = platform.now ?? (() => Date.now());
  // A limit of 0 is none, whatever is bound.
  const limiter = (perMinute: number, binding: RateLimitBinding | undefined) => {
    if (perMinute === 0) return undefined;
    return binding ? boundLimiter(binding) : new TokenBuckets(perMinute, now);
  };
  const read = tokenReader(settings, platform, now);
  const tickets = ticketsOf(settings);
  return {
    settings,
    tickets,
    now,
    addressOf: platform.addressOf ?? (() => undefined),
    subjectLimiter: limiter(settings.perSubject, platform.subjectLimit),
    addressLimiter: limiter(settings.perAddress, platform.addressLimit),
    async credential(authorization) {
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

/** Undefined where nobody is asked. */
function tokenReader(
  { method }: AuthSettings,
  platform: AccessPlatform,
  now: () => number,
): TokenReader | undefined {
  if (method.kind === "token") return apiTokenReader(method.tokens);
  if (method.kind !== "jwt") return undefined;
  return jwtReader(method, {
    fetch: platform.fetch ?? ((url, init) => fetch(url, init)),
    now,
    ...(platform.onKeysFailure && { onFailure: platform.onKeysFailure }),
  });
}

/** Undefined where no secret is set, unless this process, of this machine alone, can make one up. */
function ticketsOf({ method, ticketSecrets }: AuthSettings): () => Tickets | undefined {
  let tickets = ticketSecrets.length > 0 ? new Tickets(ticketSecrets) : undefined;
  if (tickets || method.kind !== "unset") return () => tickets;
  // Made on first use: Workers give no random numbers while a module loads.
  return () => (tickets ??= new Tickets([newSecret()]));
}
