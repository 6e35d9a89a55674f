/** Access control as an operator and a client meet it: commands, plain workerd, real keys, real addresses. */
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PROJECT } from "../../scripts/bundle.ts";
import { freePort } from "../support/free-port.ts";
import { Issuer } from "../support/issuer.ts";
import { listenOnLoopback } from "../support/listen.ts";
import { packedCommand } from "../support/packed.ts";
import { Service } from "../support/service.ts";

/** Runs a script of ours; a failure of it is an answer too. */
async function script(path: string, args: readonly string[], env: Record<string, string> = {}) {
  const run = promisify(execFile)(process.execPath, [join(PROJECT, path), ...args], {
    cwd: PROJECT,
    env: { ...process.env, ...env },
    // A service that starts after all is ended.
    timeout: 100_000,
  });
  return run.then(
    ({ stdout }) => ({ code: 0, stdout, stderr: "" }),
    (failure: { code: number; stdout: string; stderr: string }) => failure,
  );
}

const serve = async (env: Record<string, string>) =>
  script(relative(PROJECT, await packedCommand()), ["serve"], env);

// Commands start beside each other.
describe("holdfast serve", { timeout: 120_000 }, () => {
  it.concurrent.each(["0.0.0.0", "::", "192.0.2.7", "sessions.example"])(
    "refuses to listen on %s without AUTH, in one line",
    async (host) => {
      const { code, stderr } = await serve({ HOST: host, PORT: "0", AUTH: "" });
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^holdfast: HOST=\S+ is reachable by others, so AUTH must be set: AUTH=token .*\n$/,
      );
    },
  );

  it.concurrent("names a bad variable of access control, and does not repeat its value", async () => {
    const { code, stderr } = await serve({
      AUTH: "token",
      API_TOKENS: "hunter2",
      PORT: "0",
    });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^holdfast: API_TOKENS must be /);
    expect(stderr).not.toContain("hunter2");
  });
});

describe("npm run token", { timeout: 120_000 }, () => {
  it("makes a token that the service takes, and shows it once", async () => {
    const { stdout } = await script("scripts/token.ts", [
      "--subject",
      "alice",
      "--scopes",
      "sessions:write,sessions:read",
    ]);
    const [token = "", ...more] = stdout.match(/hf_[\w-]{43}/g) ?? [];
    const entry = /^ {2}(\{.*\})$/m.exec(stdout)?.[1] ?? "";
    expect(more).toEqual([]);
    expect(JSON.parse(entry)).toEqual({
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      subject: "alice",
      scopes: ["sessions:write", "sessions:read"],
    });
    const service = await Service.start({ AUTH: "token", API_TOKENS: `[${entry}]` });
    const make = (authorization: string) =>
      service.fetch("/v1/sessions", { method: "POST", headers: { authorization } });
    const made = await make(`Bearer ${token}`);
    expect([made.status, ((await made.json()) as { subject: string }).subject]).toEqual([
      201,
      "alice",
    ]);
    expect((await make(`Bearer ${token.slice(0, -1)}`)).status).toBe(401);
    expect((await make("")).status).toBe(401);
  });

  it.concurrent.each([
    [["--scopes", "mcp"], /--subject is needed/],
    [["--subject", "alice"], /--scopes is needed/],
    [["--subject", "alice", "--scopes", "all"], /"all" is not a scope/],
    [["--nope"], /Unknown option/],
  ])("%j is refused, with the usage", async (args, message) => {
    const { code, stdout, stderr } = await script("scripts/token.ts", args);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(message);
    expect(stderr).toContain("usage: npm run token");
  });
});

describe("AUTH=jwt on plain workerd", () => {
  let issuer: Issuer;
  const keys = createServer((_request, response) => {
    void issuer.fetch().then(async (answer) => response.end(await answer.text()));
  });
  beforeAll(async () => {
    issuer = await Issuer.make(`http://127.0.0.1:${await listenOnLoopback(keys)}`, "RS256");
  });
  afterAll(() => void keys.close());

  it("lets in who has a right token of the issuer, and nobody else", async () => {
    const service = await Service.start({ AUTH: "jwt", ...issuer.variables });
    const make = (headers: Record<string, string>) =>
      service.fetch("/v1/sessions", { method: "POST", headers });
    const token = await issuer.token("alice", ["sessions:write"], { alg: "RS256" });
    const made = await make({ authorization: `Bearer ${token}` });
    const { subject } = (await made.json()) as { subject: string };
    expect([made.status, subject]).toEqual([201, `${issuer.url}#alice`]);
    const other = await Issuer.make(issuer.url, "ES256");
    for (const [name, headers] of Object.entries(await other.wrongCredentials("alice"))) {
      expect([name, (await make(headers)).status]).toEqual([name, 401]);
    }
    expect(issuer.fetches).toBe(1);
  });

  it("answers 503, not 401, while the keys cannot be had, and says so in its log", async () => {
    const service = await Service.start({
      AUTH: "jwt",
      ...issuer.variables,
      JWKS_URL: `http://127.0.0.1:${await freePort()}/keys`,
    });
    const headers = {
      authorization: `Bearer ${await issuer.token("alice", ["mcp"], { alg: "RS256" })}`,
    };
    expect((await service.fetch("/v1/sessions", { method: "POST", headers })).status).toBe(503);
    await service.logged(({ event }) => event === "jwks.failed");
  });

  it("tells MCP clients where its authorization server is, for each resource", async () => {
    const service = await Service.start({ AUTH: "jwt", ...issuer.variables });
    for (const [path, suffix] of [
      ["/mcp", "/mcp"],
      ["/mcp/other", "/mcp/other"],
      ["/sse", "/sse"],
      ["/v1/sessions", ""],
    ] as const) {
      const refused = await service.fetch(path);
      expect(refused.status).toBe(401);
      const url = /resource_metadata="([^"]*)"/.exec(
        refused.headers.get("www-authenticate") ?? "",
      )?.[1];
      expect(url).toBe(`${service.url}/.well-known/oauth-protected-resource${suffix}`);
      const metadata = await fetch(url!);
      expect(metadata.status).toBe(200);
      expect(await metadata.json()).toMatchObject({
        resource: service.url + suffix,
        authorization_servers: [issuer.url],
        bearer_methods_supported: ["header"],
      });
    }
  });

  it("names itself by PUBLIC_URL where that is set", async () => {
    const service = await Service.start({
      AUTH: "jwt",
      ...issuer.variables,
      PUBLIC_URL: "https://sessions.example",
    });
    const refused = await service.fetch("/mcp");
    expect(refused.headers.get("www-authenticate")).toContain(
      'resource_metadata="https://sessions.example/.well-known/oauth-protected-resource/mcp"',
    );
  });
});

it("limits an address by what the connection says, whatever its headers say", async () => {
  const service = await Service.start({ AUTH: "none", RATE_LIMIT_PER_ADDRESS: "3" });
  const answers = [];
  for (const address of ["192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"]) {
    const headers = { "cf-connecting-ip": address, "x-forwarded-for": address };
    answers.push(await service.fetch("/openapi.json", { headers }));
  }
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
  expect(Number(answers[3]!.headers.get("retry-after"))).toBeGreaterThan(0);
});
