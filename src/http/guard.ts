/**
 * The guard checks each request before a handler sees it, the cheapest check first: host, origin
 * and size; the rate of its address; its credential; the rate of its subject; its scope. It
 * denies by default: every path but the public ones needs a credential, unknown paths too.
 */
import type { Context } from "hono";
import type { Access } from "../auth/access.ts";
import { NOBODY, grants, type Identity } from "../auth/identity.ts";
import { originJudge } from "../auth/origin.ts";
import { addressKey, type RateLimiter } from "../auth/rate-limit.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { MAX_HEADER_BYTES, MAX_URL_LENGTH } from "../core/limits.ts";
import { challengeOf } from "./oauth-metadata.ts";
import { problemResponse, reportFailure } from "./problem.ts";
import { hardened } from "./answer-headers.ts";
import { headersOf, type RequestHeaders } from "./request-headers.ts";
import type { Reason, RequestSignals } from "./request-signals.ts";
import { PUBLIC, UNGUARDED, type RouteScope } from "./route.ts";

const HOW_TO_SET_UP =
  "Set AUTH to serve more than this machine: AUTH=token with API_TOKENS (npm run token makes one), AUTH=jwt with JWT_ISSUER, JWT_AUDIENCE and JWKS_URL, or AUTH=none to let anybody in.";

/** A handler behind the guard, as far as the guard needs to know it. */
export interface Guarded {
  /** Undefined: every valid credential passes. */
  readonly scope: RouteScope | undefined;
  /** Whether a `ticket` in the query can replace the Authorization header. */
  readonly takesTicket?: boolean;
}

/** Returns the caller's identity, or the response that refuses it. Throws UnavailableError while a credential cannot be checked. */
export type Guard = (c: Context, guarded: Guarded) => Promise<Identity | Response>;

export function createGuard(access: Access, log: Logger): Guard {
  const checkRequest = requestCheck(access);
  return async (c, { scope, takesTicket = false }) => {
    if (scope === UNGUARDED) return NOBODY;
    const refusal = checkRequest(c);
    if (refusal) return refusal;
    const { addressLimiter, subjectLimiter } = access;
    const fromAddress =
      addressLimiter &&
      (await overLimit(addressLimiter, addressKey(access.addressOf(c.req.raw)), log));
    if (fromAddress) return because(c, "rate_of_address", fromAddress);
    if (scope === PUBLIC) return NOBODY;
    const identity = await identify(c, access, takesTicket);
    if (identity instanceof Response) return identity;
    const fromSubject = subjectLimiter && (await overLimit(subjectLimiter, identity.subject, log));
    if (fromSubject) return because(c, "rate_of_subject", fromSubject);
    if (scope === undefined || grants(identity.scopes, scope)) return identity;
    c.set("refusal", { error: "insufficient_scope", scope });
    const answer = problemResponse("forbidden", `This needs the scope ${scope}.`);
    return because(c, "insufficient_scope", answer);
  };
}

/** Notes why a request is refused, for the log and the metrics. */
function because(c: Context, reason: Reason, answer: Response): Response {
  c.set("reason", reason);
  return answer;
}

/** One step on the way of a request: it answers in place of `work`, or changes the answer of `work`. */
export type Step = (c: Context, work: () => Promise<Response>) => Promise<Response>;

/** Makes the function that answers a request which has failed. */
export function failureAnswer(log: Logger): (c: Context, failure: unknown) => Response {
  return (c, failure) => {
    const { code, message } = reportFailure(failure, log);
    return because(c, code, problemResponse(code, message));
  };
}

/**
 * Adds to every answer, errors and streams too, the headers that restrain browsers and caches, and has
 * it counted and logged.
 */
export function finish(access: Access, signals: RequestSignals): Step {
  return async (c, work) => {
    const begun = signals.begin();
    const answer = await work();
    const { status } = answer;
    signals.answered(c, status, begun);
    const refused = (status === 401 || status === 403) && !c.get("admittedToGateway");
    const challenge = refused ? challengeOf(c, access) : "";
    const secure = c.req.url.startsWith("https:");
    const answered = hardened(answer, c.get("isPage"));
    // Browsers take it from an answer over https alone (RFC 6797, 7.2).
    if (secure) answered.headers.set("strict-transport-security", `max-age=${HSTS_SECONDS}`);
    if (challenge) answered.headers.set("www-authenticate", challenge);
    return answered;
  };
}

/** A year, as usual. */
const HSTS_SECONDS = 365 * 24 * 60 * 60;

/** Makes a check that refuses requests meant for another service, and those with an oversized head. */
function requestCheck(access: Access): (c: Context) => Response | undefined {
  const { method } = access.settings;
  const verdictOf = originJudge(access.settings);
  // Without credentials, or with those that a browser adds itself (cookies), another site's page could
  // call as well as anybody.
  const trusting = method.kind !== "token" && method.kind !== "jwt";
  return (c) => {
    const request = c.req.raw;
    const { url } = request;
    const headers = headersOf(c);
    const verdict = verdictOf(url, headers.get("host"), headers.get("origin"));
    if (verdict.kind === "refused") {
      const list = verdict.header === "Host" ? "ALLOWED_HOSTS" : "ALLOWED_ORIGINS";
      const answer = problemResponse("forbidden", `This ${verdict.header} is not in ${list}.`);
      return because(c, verdict.header === "Host" ? "host" : "origin", answer);
    }
    if (trusting && fromAnotherSite(headers)) {
      const answer = problemResponse("forbidden", "Another site's page may not load this.");
      return because(c, "cross_site", answer);
    }
    if (
      method.kind === "unset" &&
      !(verdict.loopback && access.isFromThisMachine(request, headers))
    ) {
      return because(c, "auth_unset", problemResponse("unauthorized", HOW_TO_SET_UP));
    }
    if (url.length > MAX_URL_LENGTH) {
      return problemResponse("uri_too_long", `The URL is over ${MAX_URL_LENGTH} characters.`);
    }
    if (bytesOf(headers) <= MAX_HEADER_BYTES) return undefined;
    return problemResponse("headers_too_large", `The headers are over ${MAX_HEADER_BYTES} bytes.`);
  };
}

/**
 * A browser loads images and scripts for another site's page without an `Origin`, and
 * `GET /sse` makes a session. `Sec-Fetch-Site` shows such requests. A visitor who follows a link
 * to this service may pass; a frame within the other page may not.
 */
function fromAnotherSite(headers: RequestHeaders): boolean {
  if (headers.has("origin")) return false;
  const site = headers.get("sec-fetch-site");
  if (site !== "cross-site" && site !== "same-site") return false;
  const followsLink =
    headers.get("sec-fetch-mode") === "navigate" && headers.get("sec-fetch-dest") === "document";
  return !followsLink;
}

function bytesOf(headers: RequestHeaders): number {
  let bytes = 0;
  for (const [name, value] of headers) bytes += name.length + value.length;
  return bytes;
}

/** Counts a request under its key and refuses it past the limit. Without a key it passes uncounted. */
async function overLimit(
  limiter: RateLimiter,
  key: string | undefined,
  log: Logger,
): Promise<Response | undefined> {
  if (key === undefined) return undefined;
  try {
    const wait = await limiter.take(key);
    if (wait === undefined) return undefined;
    return problemResponse("rate_limited", undefined, { "retry-after": String(wait) });
  } catch (failure) {
    // A failed limiter lets requests pass: it limits abuse, and the credential keeps strangers out.
    log.warn("rate-limit.failed", { cause: describeFailure(failure) });
    return undefined;
  }
}

function neededBy({ settings }: Access): string {
  return settings.method.kind === "own" ? "Log in first." : "A bearer token is needed.";
}

/** Returns the caller's identity, or one refusal for every way in which a credential can be wrong. */
async function identify(
  c: Context,
  access: Access,
  takesTicket: boolean,
): Promise<Identity | Response> {
  const authorization = headersOf(c).get("authorization");
  // An Authorization header wins over a ticket, even an invalid one.
  const ticket = takesTicket && authorization === undefined ? c.req.query("ticket") : undefined;
  const credential =
    ticket === undefined
      ? await access.credential(authorization, c.req.raw)
      : await access.ticketHolder(ticket, c.req.param("id") ?? "");
  if (credential === "missing") {
    return because(c, "no_credential", problemResponse("unauthorized", neededBy(access)));
  }
  if (credential !== "invalid") return credential;
  c.set("refusal", { error: "invalid_token" });
  const detail =
    ticket === undefined
      ? "The bearer token is not valid."
      : "The ticket is not for this stream, or its time is up.";
  const reason = ticket === undefined ? "invalid_token" : "invalid_ticket";
  return because(c, reason, problemResponse("unauthorized", detail));
}
