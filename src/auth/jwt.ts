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

/**
 * Signatures by a key pair only. With HS256 among them, who has the public key
 * could sign with it as the secret.
 */
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
 * What a token may say that it is: an access token (RFC 9068), or just a JWT. One
 * that was signed for another use, a logout token or a DPoP proof, says so (RFC 8725, section 3.11).
 */
const TYPES = /^(application\/)?(at\+)?jwt$/i;

/** Seconds that clocks may be apart. */
const LEEWAY_SECONDS = 10;

/** Reads access tokens. Undefined for one that is not valid, for whatever reason. */
export function jwtReader(settings: JwtSettings, platform: Omit<JwksOptions, "url">): TokenReader {
  const { issuer, audience, jwksUrl } = settings;
  const jwks = new Jwks({ url: jwksUrl, ...platform });
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
      // Whether the token is right cannot be known.
      if (failure instanceof UnavailableError) throw failure;
      // Anything else than jose's verdict on the token is about a key of the set that nobody can check with: a weak one, say.
      if (!(failure instanceof errors.JOSEError)) platform.onFailure?.(failure);
      return undefined;
    }
  };
}

/**
 * Issuer and `sub` together: a `sub` is unique within its issuer only. An issuer
 * has no fragment (OpenID Connect Core 1.0, section 2; RFC 8414, section 2), so
 * the first `#` always ends it.
 */
function subjectOf(issuer: string, { sub }: JWTPayload): string | undefined {
  // One with half a surrogate pair has no UTF-8, and nobody could list or revoke what it made.
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
