/** Access control as a whole: what the guard asks. Made once, from the settings and what the platform gives. */
import type { SessionId } from "../core/id.ts";
import { apiTokenReader, type TokenReader } from "./api-tokens.ts";
import { ANYBODY, type Identity } from "./identity.ts";
import { jwtReader } from "./jwt.ts";
import {
  boundLimiter,
  TokenBuckets,
  type RateLimitBinding,
  type RateLimiter,
} from "./rate-limit.ts";
import type { AuthSettings } from "./settings.ts";
import { ephemeralTickets, Tickets } from "./ticket.ts";

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

export type Credential =
  | { readonly kind: "valid"; readonly identity: Identity }
  /** There is none, or none of a kind that is known here. */
  | { readonly kind: "missing" }
  | { readonly kind: "invalid" };

export interface Access {
  readonly settings: AuthSettings;
  /** Who an `Authorization` header says is calling. Throws UnavailableError where that cannot be known now. */
  credential(authorization: string | undefined): Promise<Credential>;
  /** Whom a ticket lets follow this session. */
  ticketHolder(ticket: string, session: SessionId): Promise<Credential>;
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
  const read = tokenReader(settings, platform, now);
  const tickets = ticketsOf(settings);
  return {
    settings,
    tickets,
    now,
    addressOf: platform.addressOf ?? (() => undefined),
    subjectLimiter: limiter(settings.perSubject, platform.subjectLimit, now),
    addressLimiter: limiter(settings.perAddress, platform.addressLimit, now),
    async credential(authorization) {
      if (!read) return { kind: "valid", identity: ANYBODY };
      if (authorization === undefined || !/^Bearer\b/i.test(authorization))
        return { kind: "missing" };
      const token = BEARER.exec(authorization)?.[1];
      const identity = token === undefined ? undefined : await read(token);
      return identity ? { kind: "valid", identity } : { kind: "invalid" };
    },
    async ticketHolder(ticket, session) {
      const claims = await tickets()?.verify(ticket, session, now());
      if (!claims) return { kind: "invalid" };
      const { subject } = claims;
      const identity: Identity = { subject, admin: false, scopes: new Set(["events:subscribe"]) };
      return { kind: "valid", identity };
    },
  };
}

/** Undefined where nobody is asked. */
function tokenReader(
  { method }: AuthSettings,
  platform: AccessPlatform,
  now: () => number,
): TokenReader | undefined {
  switch (method.kind) {
    case "unset":
    case "none":
      return undefined;
    case "token":
      return apiTokenReader(method.tokens);
    case "jwt":
      return jwtReader(method, {
        fetch: platform.fetch ?? ((url, init) => fetch(url, init)),
        now,
        ...(platform.onKeysFailure && { onFailure: platform.onKeysFailure }),
      });
  }
}

/** While `AUTH` is unset there is one process, on this machine, whose own secret does. */
function ticketsOf({ method, ticketSecrets }: AuthSettings): () => Tickets | undefined {
  if (ticketSecrets.length > 0) {
    const tickets = new Tickets(ticketSecrets);
    return () => tickets;
  }
  return method.kind === "unset" ? ephemeralTickets() : () => undefined;
}

/** A limit of 0 is none, whatever is bound. */
function limiter(
  perMinute: number,
  binding: RateLimitBinding | undefined,
  now: () => number,
): RateLimiter | undefined {
  if (perMinute === 0) return undefined;
  return binding ? boundLimiter(binding) : new TokenBuckets(perMinute, now);
}
