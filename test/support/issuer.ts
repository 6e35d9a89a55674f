/** An authorization server for tests: its keys, its tokens, and tokens that nobody should accept. */
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";

type KeyPair = Awaited<ReturnType<typeof generateKeyPair>>;

const AUDIENCE = "https://sessions.example";

export class Issuer {
  readonly url: string;
  /** Keys that the key set shows, by key id. */
  readonly keys = new Map<string, KeyPair>();
  /** Requests for the key set. */
  fetches = 0;
  /** Whether the key set cannot be fetched now. */
  isDown = false;

  private constructor(url: string) {
    this.url = url;
  }

  static async make(url: string, alg = "ES256"): Promise<Issuer> {
    const issuer = new Issuer(url);
    issuer.keys.set("k1", await generateKeyPair(alg, { extractable: true }));
    return issuer;
  }

  get variables(): Record<string, string> {
    return {
      JWT_ISSUER: this.url,
      JWT_AUDIENCE: AUDIENCE,
      JWKS_URL: `${this.url}/jwks.json`,
    };
  }

  async rotate(kid: string): Promise<void> {
    this.keys.set(kid, await generateKeyPair("ES256", { extractable: true }));
  }

  /** Answers requests to the URL of the key set. */
  readonly fetch = async (): Promise<Response> => {
    this.fetches++;
    if (this.isDown) throw new TypeError("network connection lost");
    const keys = await Promise.all(
      [...this.keys].map(async ([kid, { publicKey }]) => ({
        ...(await exportJWK(publicKey)),
        kid,
      })),
    );
    return Response.json({ keys });
  };

  async token(sub: string, scopes: readonly string[], change: TokenChange = {}): Promise<string> {
    const { kid = "k1", alg = "ES256", claims = {} } = change;
    const now = Math.floor(Date.now() / 1000);
    const payload = { scope: scopes.join(" "), nbf: now - 1, exp: now + 300, sub, ...claims };
    return new SignJWT({ iss: this.url, aud: AUDIENCE, ...payload })
      .setProtectedHeader({ alg, kid, ...change.header })
      .sign(change.key ?? this.keys.get(kid)!.privateKey);
  }

  async bearer(sub: string, scopes: readonly string[]): Promise<{ authorization: string }> {
    return { authorization: `Bearer ${await this.token(sub, scopes)}` };
  }

  /** Headers that must let nobody in as `sub`, by what is wrong with them. */
  async wrongCredentials(sub: string): Promise<Record<string, Record<string, string>>> {
    const scopes = ["admin"];
    const now = Math.floor(Date.now() / 1000);
    const stranger = await generateKeyPair("ES256", { extractable: true });
    const publicKey = this.keys.get("k1")!.publicKey;
    const good = await this.token(sub, scopes);
    const [header, , signature] = good.split(".");
    const forged = btoa(JSON.stringify({ iss: this.url, aud: AUDIENCE, sub, exp: now + 300 }));
    const tokens: Record<string, string> = {
      garbage: "garbage",
      "an api token": `hf_${"A".repeat(43)}`,
      expired: await this.token(sub, scopes, { claims: { exp: now - 60 } }),
      "not yet valid": await this.token(sub, scopes, { claims: { nbf: now + 60 } }),
      "without exp": await this.token(sub, scopes, { claims: { exp: undefined } }),
      "other issuer": await this.token(sub, scopes, { claims: { iss: "https://evil.example" } }),
      "other audience": await this.token(sub, scopes, { claims: { aud: "https://other.example" } }),
      "without subject": await this.token(sub, scopes, { claims: { sub: undefined } }),
      "half a surrogate pair for a subject": await this.token("\ud800x", scopes),
      "another's key": await this.token(sub, scopes, { key: stranger.privateKey }),
      "a logout token": await this.token(sub, scopes, { header: { typ: "logout+jwt" } }),
      "a DPoP proof": await this.token(sub, scopes, { header: { typ: "dpop+jwt" } }),
      "unknown key id": await this.token(sub, scopes, { header: { kid: "nope" } }),
      "alg none": new UnsecuredJWT({ iss: this.url, aud: AUDIENCE, sub, exp: now + 300 }).encode(),
      "HS256 with the public key (PEM)": await this.token(sub, scopes, {
        alg: "HS256",
        key: new TextEncoder().encode(await exportSPKI(publicKey)),
      }),
      "HS256 with the public key (JWK)": await this.token(sub, scopes, {
        alg: "HS256",
        key: new TextEncoder().encode(JSON.stringify(await exportJWK(publicKey))),
      }),
      "an embedded key": await this.token(sub, scopes, {
        key: stranger.privateKey,
        header: { jwk: await exportJWK(stranger.publicKey) },
      }),
      "a changed payload": `${header}.${forged.replace(/=+$/, "")}.${signature}`,
    };
    return {
      none: {},
      basic: { authorization: "Basic YWxpY2U6YWxpY2U=" },
      "two tokens": { authorization: `Bearer ${good}, Bearer ${good}` },
      "an empty token": { authorization: "Bearer " },
      ...Object.fromEntries(
        Object.entries(tokens).map(([name, token]) => [name, { authorization: `Bearer ${token}` }]),
      ),
    };
  }
}

interface TokenChange {
  readonly kid?: string;
  readonly alg?: string;
  readonly key?: CryptoKey | Uint8Array;
  readonly claims?: Record<string, unknown>;
  readonly header?: Record<string, unknown>;
}
