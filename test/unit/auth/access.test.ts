/** Tests which credentials the service lets in, by the settings and what the platform gives. */
import { afterEach, expect, it, vi } from "vitest";
import { createAccess, type AccessPlatform } from "../../../src/auth/access.ts";
import { ANYBODY } from "../../../src/auth/identity.ts";
import { loadAuthSettings } from "../../../src/auth/settings.ts";
import type { Environment } from "../../../src/config/env.ts";
import { parseSessionId } from "../../../src/core/id.ts";
import { apiTokens } from "../../support/api-tokens.ts";
import { Issuer } from "../../support/issuer.ts";

const SESSION = parseSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01")!;
const SECRET = "s".repeat(32);
const request = new Request("https://sessions.example/");

const access = (variables: Environment, platform?: AccessPlatform) =>
  createAccess(loadAuthSettings(variables), platform);

/** Access for one API token, which is alice's. */
async function ofAlice(platform?: AccessPlatform) {
  const { variable, secrets } = await apiTokens({ alice: ["alice", ["mcp"]] });
  const [token = ""] = secrets;
  return { token, alice: access({ AUTH: "token", API_TOKENS: variable }, platform) };
}

afterEach(() => vi.unstubAllGlobals());

it("lets anybody do everything where no token is asked for, whatever the header says", async () => {
  for (const open of [access({}), access({ AUTH: "none" })]) {
    expect(await open.credential(undefined, request)).toBe(ANYBODY);
    expect(await open.credential("Bearer nonsense", request)).toBe(ANYBODY);
    await expect(open.canCheckTokens()).resolves.toBe(true);
  }
});

it.each([
  ["Bearer TOKEN", "alice"],
  ["bearer  TOKEN", "alice"],
  ["BEARER TOKEN  ", "alice"],
  [undefined, "missing"],
  ["", "missing"],
  ["Basic TOKEN", "missing"],
  ["BearerTOKEN", "missing"],
  ["x Bearer TOKEN", "missing"],
  ["Bearer", "invalid"],
  ["Bearer ", "invalid"],
  ["Bearer another", "invalid"],
  ["Bearer TOKEN, Bearer TOKEN", "invalid"],
  ["Bearer TOKEN x", "invalid"],
  ["Bearer =", "invalid"],
  ["Bearer x Bearer TOKEN", "invalid"],
  ["Bearer\tTOKEN", "invalid"],
])("a header of %j is %s", async (header, verdict) => {
  const { token, alice } = await ofAlice();
  const credential = await alice.credential(header?.replaceAll("TOKEN", token), request);
  if (verdict !== "alice") return expect(credential).toBe(verdict);
  expect(credential).toEqual({ subject: "alice", admin: false, scopes: new Set(["mcp"]) });
});

it("takes the whole text of a token, with the padding of base64 at its end alone", async () => {
  // The settings hold the digest, so any text can be a token.
  const known = async (token: string) => {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(token));
    const sha256 = Buffer.from(digest).toString("hex");
    const tokens = JSON.stringify([{ sha256, subject: "alice", scopes: [] }]);
    const { credential } = access({ AUTH: "token", API_TOKENS: tokens });
    return typeof (await credential(`Bearer ${token}`, request)) === "object";
  };
  expect(await known("aZ09-._~+/==")).toBe(true);
  expect(await known("a=b")).toBe(false);
  expect(await known("a b")).toBe(false);
  expect(await known("")).toBe(false);
});

it("asks the app alone where that authenticates, and lets in nobody whom it does not know", async () => {
  const { variable, headers } = await apiTokens({ alice: ["alice", ["mcp"]] });
  const mallory = { subject: "mallory", admin: false, scopes: new Set(["mcp"] as const) };
  const authenticate = vi.fn(async (asked: Request) =>
    asked.headers.has("cookie") ? mallory : undefined,
  );
  const own = access({ AUTH: "token", API_TOKENS: variable }, { authenticate });
  const withCookie = new Request(request.url, { headers: { cookie: "a=b" } });
  expect(await own.credential(headers["alice"]!.authorization, withCookie)).toBe(mallory);
  expect(await own.credential(headers["alice"]!.authorization, request)).toBe("missing");
  expect(await access({}, { authenticate }).credential(undefined, request)).toBe("missing");
});

it("says that API tokens can always be checked", async () => {
  const { alice } = await ofAlice();
  await expect(alice.canCheckTokens()).resolves.toBe(true);
});

it("checks a JWT by the keys and the clock of the platform, and says whether it can", async () => {
  const issuer = await Issuer.make("https://issuer.example");
  const failures: unknown[] = [];
  let now = Date.now();
  const jwt = access(
    { AUTH: "jwt", ...issuer.variables },
    { fetch: issuer.fetch, now: () => now, onKeysFailure: (failure) => failures.push(failure) },
  );
  issuer.isDown = true;
  await expect(jwt.canCheckTokens()).resolves.toBe(false);
  expect(failures).toHaveLength(1);
  issuer.isDown = false;
  now += 60_000;
  await expect(jwt.canCheckTokens()).resolves.toBe(true);
  const { authorization } = await issuer.bearer("alice", ["events:publish"]);
  expect(await jwt.credential(authorization, request)).toMatchObject({ admin: false });
  expect(await jwt.credential(`${authorization}x`, request)).toBe("invalid");
  expect(jwt.now()).toBe(now);
  now += 3_600_000;
  expect(await jwt.credential(authorization, request)).toBe("invalid");
});

it("has the platform keep a refresh of keys alive, and fetches by its own means without another", async () => {
  const issuer = await Issuer.make("https://issuer.example");
  vi.stubGlobal("fetch", issuer.fetch);
  let now = Date.now();
  const kept: Promise<unknown>[] = [];
  const jwt = access(
    { AUTH: "jwt", ...issuer.variables },
    { now: () => now, waitUntil: (work) => void kept.push(work) },
  );
  const { authorization } = await issuer.bearer("alice", []);
  expect(await jwt.credential(authorization, request)).toMatchObject({ admin: false });
  now += 6 * 60_000;
  await jwt.credential(authorization, request);
  expect(kept).toHaveLength(1);
  await Promise.all(kept);
  expect(issuer.fetches).toBe(2);
});

it("works with a platform that says nothing of itself", () => {
  const bare = access({});
  const before = Date.now();
  expect(bare.now()).toBeGreaterThanOrEqual(before);
  expect(bare.addressOf(request)).toBeUndefined();
  expect(bare.isFromThisMachine(request, new Map())).toBe(true);
  const near = access({}, { addressOf: () => "192.0.2.1", isFromThisMachine: () => false });
  expect(near.addressOf(request)).toBe("192.0.2.1");
  expect(near.isFromThisMachine(request, new Map())).toBe(false);
});

it("counts requests by the platform's binding, or by itself, and not at all with a limit of 0", async () => {
  const full = { limit: async () => ({ success: false }) };
  const limits = (perMinute: string) => ({
    AUTH: "none",
    RATE_LIMIT_PER_SUBJECT: perMinute,
    RATE_LIMIT_PER_ADDRESS: perMinute,
  });
  const unlimited = access(limits("0"), { subjectLimit: full, addressLimit: full });
  expect([unlimited.subjectLimiter, unlimited.addressLimiter]).toEqual([undefined, undefined]);
  const bound = access(limits("2"), { subjectLimit: full });
  expect(await bound.subjectLimiter?.take("a")).toBe(60);
  expect(await bound.addressLimiter?.take("a")).toBeUndefined();
  expect(await bound.addressLimiter?.take("a")).toBeUndefined();
  expect(await bound.addressLimiter?.take("a")).toBeGreaterThan(0);
  const other = access(limits("2"), { addressLimit: full });
  expect(await other.addressLimiter?.take("a")).toBe(60);
  expect(await other.subjectLimiter?.take("a")).toBeUndefined();
});

it("has no tickets without a secret, unless AUTH is unset: then it makes one up and keeps it", async () => {
  expect(access({ AUTH: "none" }).tickets()).toBeUndefined();
  expect(access({ AUTH: "none", TICKET_SECRET: SECRET }).tickets()).toBeDefined();
  const unset = access({});
  const tickets = unset.tickets();
  expect(tickets).toBeDefined();
  expect(unset.tickets()).toBe(tickets);
  const ticket = await tickets!.sign({ session: SESSION, expiresAt: Date.now() + 60_000 });
  expect(await access({}).ticketHolder(ticket, SESSION)).toBe("invalid");
  const known = access({ TICKET_SECRET: SECRET });
  const signed = await known.tickets()!.sign({ session: SESSION, expiresAt: Date.now() + 60_000 });
  const others = access({ AUTH: "none", TICKET_SECRET: SECRET });
  expect(await others.ticketHolder(signed, SESSION)).toMatchObject({ admin: false });
});

it("a ticket lets its holder follow its session until its time is up, and nothing else", async () => {
  let now = 1000;
  const tickets = access({ AUTH: "none", TICKET_SECRET: SECRET }, { now: () => now });
  const ticket = await tickets.tickets()!.sign({
    session: SESSION,
    subject: "alice",
    expiresAt: 2000,
  });
  const holder = { subject: "alice", admin: false, scopes: new Set(["events:subscribe"]) };
  expect(await tickets.ticketHolder(ticket, SESSION)).toEqual(holder);
  expect(await tickets.ticketHolder(ticket, SESSION.toUpperCase())).toEqual(holder);
  expect(await tickets.ticketHolder(ticket, crypto.randomUUID())).toBe("invalid");
  expect(await tickets.ticketHolder(ticket, "no id")).toBe("invalid");
  expect(await tickets.ticketHolder("no ticket", SESSION)).toBe("invalid");
  now = 2000;
  expect(await tickets.ticketHolder(ticket, SESSION)).toBe("invalid");
  expect(await access({ AUTH: "none" }).ticketHolder(ticket, SESSION)).toBe("invalid");
});
