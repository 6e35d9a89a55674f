/** Access tokens of an authorization server: JWTs (RFC 7519, RFC 9068), checked with jose. */
import { errors, jwtVerify, type JWTPayload } from "jose";
import { UnavailableError } from "../core/errors.ts";
import { MAX_SUBJECT_LENGTH } from "../core/limits.ts";
import type { TokenReader } from "./api-tokens.ts";
import { identityOf } from "./identity.ts";
import { Jwks, type JwksOptions } from "./jwks.ts";

export interface JwtSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: string;
}

/** Key pairs only: with HS256 in the list, anyone could sign with the public key as the secret. */
const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/**
 * The accepted `typ`: an access token (RFC 9068) or a plain JWT. A JWT for another use, such as
 * a logout token or a DPoP proof, names another type (RFC 8725, section 3.11).
 */
const TYPES = /^(application\/)?(at\+)?jwt$/i;

/** Seconds by which the clocks of both servers may differ. */
const LEEWAY_SECONDS = 10;

/** Reads access tokens. Returns undefined for every token that is not valid, for whichever reason. */
export function jwtReader(
  settings: JwtSettings,
  platform: Omit<JwksOptions, "url">,
  jwks: Jwks = new Jwks({ url: settings.jwksUrl, ...platform }),
): TokenReader {
  const { issuer, audience } = settings;
  return async (token) => {
    try {
      const { payload, protectedHeader } = await jwtVerify(token, jwks.keyFor, {
        algorithms: ALGORITHMS,
        issuer,
        audience,
        clockTolerance: LEEWAY_SECONDS,
        currentDate: new Date(platform.now()),
        requiredClaims: ["exp", "sub"],
      });
      if (!TYPES.test(protectedHeader.typ ?? "JWT")) return undefined;
      const subject = subjectOf(issuer, payload);
      return subject === undefined ? undefined : identityOf(subject, scopeNamesOf(payload));
    } catch (failure) {
      // Without keys the token is neither valid nor invalid.
      if (failure instanceof UnavailableError) throw failure;
      // jose throws its verdict as an error of its own. Any other comes from a key, such as a weak one.
      if (!(failure instanceof errors.JOSEError)) platform.onFailure?.(failure);
      return undefined;
    }
  };
}

/**
 * Joins issuer and `sub`, because a `sub` is unique within its issuer only. An issuer has
 * no fragment (OpenID Connect Core 1.0, section 2; RFC 8414, section 2), so the first `#`
 * always ends it.
 */
function subjectOf(issuer: string, { sub }: JWTPayload): string | undefined {
  // Half a surrogate pair has no UTF-8, so nobody could list or revoke the sessions of such a subject.
  if (typeof sub !== "string" || sub === "" || !sub.isWellFormed()) return undefined;
  const subject = `${issuer}#${sub}`;
  return subject.length > MAX_SUBJECT_LENGTH ? undefined : subject;
}

/** `scope` as RFC 8693 and 9068 write it, or `scp` as Entra and Okta do. */
function scopeNamesOf(payload: JWTPayload): readonly string[] {
  const value = payload["scope"] ?? payload["scp"];
  if (typeof value === "string") return value.split(" ");
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : [];
}
