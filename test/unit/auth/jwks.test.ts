/** The cache of keys fetches when it must, at most once per floor, and keeps its keys while fetching fails. */
import { generateKeyPairSync } from "node:crypto";
import { generateKeyPair } from "jose";
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import type { TokenReader } from "../../../src/auth/api-tokens.ts";
import { jwtReader } from "../../../src/auth/jwt.ts";
import { UnavailableError } from "../../../src/core/errors.ts";
import { Issuer } from "../../support/issuer.ts";

let now: number;
let issuer: Issuer;
let read: TokenReader;
let failures: unknown[];
let minted: Record<string, string>;

beforeAll(() => void (minted = {}));

beforeEach(async () => {
  now = Date.now();
  failures = [];
  issuer = await Issuer.make("https://idp.example");
  minted = { k1: await issuer.token("alice", ["mcp"]) };
  const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
  read = jwtReader(
    { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
    { fetch: issuer.fetch, now: () => now, onFailure: (failure) => void failures.push(failure) },
  );
});

const rotated = async (kid: string) => {
  await issuer.rotate(kid);
  return issuer.token("alice", ["mcp"], { kid });
};

it("fetches once for many tokens", async () => {
  for (let n = 0; n < 5; n++)
    expect((await read(minted["k1"]!))?.subject).toBe("https://idp.example#alice");
  expect(issuer.fetches).toBe(1);
});

it("fetches again for a key that it does not know, and takes the token", async () => {
  await read(minted["k1"]!);
  const token = await rotated("k2");
  now += 30_000;
  expect(await read(token)).toBeDefined();
  expect(issuer.fetches).toBe(2);
});

it("fetches for unknown keys no more often than the floor allows", async () => {
  await read(minted["k1"]!);
  now += 30_000;
  const unknown = await issuer.token("alice", ["mcp"], { header: { kid: "made-up" } });
  for (let n = 0; n < 20; n++) expect(await read(unknown)).toBeUndefined();
  expect(issuer.fetches).toBe(2);
  now += 29_999;
  await read(unknown);
  expect(issuer.fetches).toBe(2);
  now += 1;
  await read(unknown);
  expect(issuer.fetches).toBe(3);
});

it("keeps old keys while fetching fails, however old, and says that it fails", async () => {
  await read(minted["k1"]!);
  issuer.isDown = true;
  now += 11 * 60_000;
  const late = await issuer.token("alice", ["mcp"], {
    claims: { exp: Math.floor(now / 1000) + 60 },
  });
  expect(await read(late)).toBeDefined();
  expect(failures).toHaveLength(1);
  expect(await read(late)).toBeDefined();
  expect(issuer.fetches).toBe(2);
});

/** The answer of a server that hangs. It never comes, whatever the signal says. */
const never = () => new Promise<Response>(() => undefined);

describe("where the server hangs", () => {
  let fetch: () => Promise<Response>;
  let fetches: number;
  let background: Promise<unknown>[];

  beforeEach(async () => {
    fetches = 0;
    background = [];
    const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
    fetch = issuer.fetch;
    read = jwtReader(
      { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
      {
        fetch: () => (fetches++, fetch()),
        now: () => now,
        waitUntil: (work) => void background.push(work),
      },
    );
    await read(minted["k1"]!);
    minted["late"] = await issuer.token("alice", ["mcp"], {
      claims: { exp: Math.floor(now / 1000) + 3600 },
    });
  });

  it("answers at once with the keys that are held, and fetches in the background, once a floor", async () => {
    fetch = never;
    now += 5 * 60_000 + 1;
    for (let n = 0; n < 20; n++) expect(await read(minted["late"]!)).toBeDefined();
    expect([fetches, background.length]).toEqual([2, 1]);
    now += 30_000;
    for (let n = 0; n < 20; n++) expect(await read(minted["late"]!)).toBeDefined();
    expect([fetches, background.length]).toEqual([3, 2]);
    // It has hung before, so nobody waits for it, however old the keys are.
    now += 20 * 60_000;
    for (let n = 0; n < 20; n++) expect(await read(minted["late"]!)).toBeDefined();
    expect([fetches, background.length]).toEqual([4, 3]);
  });

  it("takes up what the background brings", async () => {
    await issuer.rotate("k2");
    issuer.keys.delete("k1");
    now += 5 * 60_000 + 1;
    expect(await read(minted["late"]!)).toBeDefined();
    await Promise.all(background);
    expect(await read(minted["late"]!)).toBeUndefined();
  });

  it("waits at most once where nobody asked until the keys were too old", async () => {
    fetch = never;
    now += 11 * 60_000;
    let isAnswered = false;
    void read(minted["late"]!).then(() => (isAnswered = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect([isAnswered, fetches]).toEqual([false, 2]);
    now += 5000;
    expect(await read(minted["late"]!)).toBeDefined();
    expect(fetches).toBe(2);
  });
});

it("refuses a key that was withdrawn once the held ones are old", async () => {
  await read(minted["k1"]!);
  await issuer.rotate("k2");
  issuer.keys.delete("k1");
  const { k1 } = minted;
  expect(await read(k1!)).toBeDefined();
  now += 4 * 60_000;
  expect(issuer.fetches).toBe(1);
  now += 6 * 60_000 + 1;
  const withdrawn = await read(k1!);
  expect(withdrawn).toBeUndefined();
  expect(issuer.fetches).toBe(2);
});

it("says that it cannot tell, not that the token is wrong, while it has no keys at all", async () => {
  issuer.isDown = true;
  await expect(read(minted["k1"]!)).rejects.toThrow(UnavailableError);
  await expect(read(minted["k1"]!)).rejects.toThrow(UnavailableError);
  expect(issuer.fetches).toBe(1);
  issuer.isDown = false;
  now += 1000;
  expect(await read(minted["k1"]!)).toBeDefined();
});

it("lets requests that come together fetch each for itself, a few at once, and the others wait", async () => {
  const all = await Promise.all(Array.from({ length: 20 }, () => read(minted["k1"]!)));
  expect(issuer.fetches).toBe(8);
  expect(all.filter((identity) => identity === undefined)).toEqual([]);
  const token = await rotated("k2");
  now += 30_000;
  const rotatedTo = await Promise.all(Array.from({ length: 20 }, () => read(token)));
  expect(issuer.fetches).toBe(16);
  expect(rotatedTo.filter((identity) => identity === undefined)).toEqual([]);
});

it("tells all who wait that it cannot tell, where the fetches that they wait for fail", async () => {
  issuer.isDown = true;
  const all = await Promise.allSettled(Array.from({ length: 20 }, () => read(minted["k1"]!)));
  expect(all.filter(({ status }) => status === "fulfilled")).toEqual([]);
  expect(issuer.fetches).toBe(8);
});

it.each([
  ["of 1,024 bits", async () => generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey],
  ["that is none", async () => ({ export: () => ({ kty: "RSA", n: "!", e: "AQAB" }) })],
])("refuses a token of a key %s, and says so", async (_what, makeKey) => {
  const key = (await makeKey()).export({ format: "jwk" });
  const keySet = { keys: [{ ...key, kid: "odd", alg: "RS256" }] };
  const { privateKey } = await generateKeyPair("RS256");
  const token = await issuer.token("a", [], { alg: "RS256", kid: "odd", key: privateKey });
  const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
  const reader = jwtReader(
    { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
    {
      fetch: async () => Response.json(keySet),
      now: () => now,
      onFailure: (failure) => void failures.push(failure),
    },
  );
  expect(await reader(token)).toBeUndefined();
  expect(failures).toHaveLength(1);
});

it("reads no more of an endless answer than a key set may have", async () => {
  let pulled = 0;
  const endless = () =>
    new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++;
        controller.enqueue(new Uint8Array(64 * 1024));
      },
    });
  const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
  const reader = jwtReader(
    { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
    { fetch: async () => new Response(endless()), now: () => now },
  );
  await expect(reader(minted["k1"]!)).rejects.toThrow(UnavailableError);
  expect(pulled).toBeLessThan(10);
});

it.each([
  ["is not JSON", () => new Response("<html>")],
  ["is no key set", () => Response.json({ keys: [1] })],
  ["has a list for a key", () => Response.json({ keys: [[]] })],
  ["is a redirect", () => Response.redirect("https://evil.example/keys")],
  ["is an error", () => new Response("", { status: 500 })],
  ["is huge", () => Response.json({ keys: [], padding: "x".repeat(300_000) })],
])("does not take an answer that %s", async (_what, answer) => {
  const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
  const inits: RequestInit[] = [];
  const failures: unknown[] = [];
  const reader = jwtReader(
    { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
    {
      fetch: async (_url, init) => {
        inits.push(init);
        return answer();
      },
      now: () => now,
      onFailure: (failure) => failures.push(failure),
    },
  );
  await expect(reader(minted["k1"]!)).rejects.toThrow(UnavailableError);
  expect(inits[0]?.redirect).toBe("manual");
  // The error is ours: it says what is wrong, and has the same name in every bundle.
  expect(failures).toMatchObject([{ name: "Error", message: expect.stringMatching(/^JWKS_URL/) }]);
});

it.each(["RS256", "PS256", "ES256", "EdDSA"])("takes %s", async (alg) => {
  const other = await Issuer.make("https://idp.example", alg);
  const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = other.variables;
  const reader = jwtReader(
    { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
    { fetch: other.fetch, now: () => now },
  );
  const token = await other.token("bob", ["sessions:read", "unheard:of"], { alg });
  expect(await reader(token)).toEqual({
    subject: "https://idp.example#bob",
    admin: false,
    scopes: new Set(["sessions:read"]),
  });
});

it("allows clocks to be ten seconds apart, and no more", async () => {
  const seconds = Math.floor(now / 1000);
  const claims = (change: object) =>
    issuer.token("alice", ["mcp"], { claims: change as Record<string, unknown> });
  expect(await read(await claims({ exp: seconds - 9 }))).toBeDefined();
  expect(await read(await claims({ exp: seconds - 11 }))).toBeUndefined();
  expect(await read(await claims({ nbf: seconds + 9 }))).toBeDefined();
  expect(await read(await claims({ nbf: seconds + 12 }))).toBeUndefined();
});

it("reads scopes from scp as well, as a list or a text", async () => {
  const claims = (scp: unknown) => issuer.token("a", [], { claims: { scope: undefined, scp } });
  expect((await read(await claims(["mcp", 1])))?.scopes).toEqual(new Set(["mcp"]));
  expect((await read(await claims("mcp admin")))?.admin).toBe(true);
  expect((await read(await claims({ mcp: true })))?.scopes).toEqual(new Set());
});

describe("where the server hangs and no keys are held", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  const readerOf = (fetch: (url: string, init: RequestInit) => Promise<Response>) => {
    const { JWT_ISSUER, JWT_AUDIENCE, JWKS_URL } = issuer.variables;
    return jwtReader(
      { issuer: JWT_ISSUER!, audience: JWT_AUDIENCE!, jwksUrl: JWKS_URL! },
      { fetch, now: () => now, onFailure: (failure) => void failures.push(failure) },
    );
  };
  const settledOf = (work: Promise<unknown>) => {
    let settled: unknown;
    void work.then(
      () => (settled = "read"),
      (failure: unknown) => (settled = failure),
    );
    return () => settled;
  };

  it.each<[what: string, fetch: () => Promise<Response>]>([
    ["before its answer", never],
    ["within its answer", async () => new Response(new ReadableStream<Uint8Array>())],
  ])("%s, it says after five seconds that it cannot tell", async (_what, fetch) => {
    const settled = settledOf(readerOf(fetch)(minted["k1"]!));
    await vi.advanceTimersByTimeAsync(4999);
    expect(settled()).toBeUndefined();
    await vi.advanceTimersByTimeAsync(1);
    expect(settled()).toBeInstanceOf(UnavailableError);
    expect(failures).toHaveLength(1);
  });

  it("gives the request up", async () => {
    const signals: (AbortSignal | null | undefined)[] = [];
    const settled = settledOf(
      readerOf((_url, { signal }) => (signals.push(signal), never()))(minted["k1"]!),
    );
    await vi.advanceTimersByTimeAsync(4999);
    expect(signals.map((signal) => signal?.aborted)).toEqual([false]);
    await vi.advanceTimersByTimeAsync(1);
    expect([settled(), signals[0]?.aborted]).toEqual([expect.any(UnavailableError), true]);
  });
});
