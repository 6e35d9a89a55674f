/** `holdfast import` over the packed package: records by ToolHive's rules, from a real Redis into a real service. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Redis } from "ioredis";
import { describe, it, type TestContext } from "vitest";
import type { Session } from "../../src/core/api.ts";
import { decodeRecord } from "../../src/library/model/codec.ts";
import { BROKEN_RECORDS, FOREIGN_RECORDS, GOLDEN_RECORDS } from "../fixtures/go-records.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { makeCertificates } from "../support/certificates.ts";
import { freePort } from "../support/free-port.ts";
import { INITIALIZE, McpSession, post, toolCall } from "../support/mcp/client.ts";
import { fixtureBehindGateway } from "../support/mcp/gateway.ts";
import { holdfast, packedCommand } from "../support/packed.ts";
import { startCluster } from "../support/redis-cluster.ts";
import { startRedis, type RedisServer, type RedisServerOptions } from "../support/redis-server.ts";
import { atEnd, beside, shared } from "../support/scope.ts";
import { MASTER_NAME, startSentinel } from "../support/sentinel.ts";
import { Service } from "../support/service.ts";

const PREFIX = "thv:proxy:session:";
const FIXTURE_ID = "2f1c0a3e-6d0e-4c58-9a47-0d1b5f0c7a11";
const HOUR_MS = 3_600_000;

const opened = shared(() => Service.start());

async function redis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const server = await startRedis(options);
  atEnd(() => server.stop());
  return server;
}

function clientOf(server: RedisServer): Redis {
  const client = new Redis(server.port, "127.0.0.1");
  atEnd(() => client.disconnect());
  return client;
}

/** A record of `type` and its key, as Go writes it. */
function recordOf(id: string, type = "mcp", more = ""): readonly [string, string] {
  const times = `"created_at":"2026-08-21T10:26:05.123456789Z","updated_at":"2026-08-21T10:26:05Z"`;
  return [PREFIX + id, `{"id":"${id}","type":"${type}",${times}${more}}`];
}

interface Counts {
  readonly made: number;
  readonly alreadyThere: number;
  readonly skipped: Readonly<Record<string, number>>;
  readonly failed: number;
}

async function importing(
  url: string,
  from: string,
  args: readonly string[] = [],
  env: Readonly<Record<string, string>> = {},
) {
  const all = ["import", "--redis", from, "--json", ...args];
  const said = await holdfast(all, { HOLDFAST_URL: url, ...env });
  return { ...said, counts: (said.stdout && JSON.parse(said.stdout)) as Counts };
}

const urlOf = ({ port }: RedisServer, scheme = "redis") => `${scheme}://127.0.0.1:${port}`;

async function sessionAt({ url }: Service, id: string): Promise<Session | undefined> {
  const answer = await fetch(`${url}/v1/sessions/${id}?touch=false`);
  return answer.status === 404 ? undefined : ((await answer.json()) as Session);
}

describe("holdfast import", { timeout: 120_000 }, () => {
  it.concurrent(
    "makes a session of each record that Go writes or reads, and says why of each other",
    beside(async ({ expect }: TestContext) => {
      const service = await opened();
      const server = await redis();
      const client = clientOf(server);
      const fixtures = [...GOLDEN_RECORDS, ...FOREIGN_RECORDS, ...BROKEN_RECORDS].map(
        ({ rule, json }) => {
          const id = crypto.randomUUID();
          const own = json.replaceAll(new RegExp(FIXTURE_ID, "gi"), (found) =>
            found === FIXTURE_ID ? id : id.toUpperCase(),
          );
          return { rule, id, json: own };
        },
      );
      const before = Date.now();
      for (const { id, json } of fixtures) await client.set(PREFIX + id, json, "PX", HOUR_MS);
      const stored = Date.now();
      await client.set(`${PREFIX}not-a-uuid`, "{}", "EX", 60);
      await client.set(`${PREFIX}other:${FIXTURE_ID}`, "{}", "EX", 60);
      await client.lpush(PREFIX + FIXTURE_ID, "a list");
      await client.set(`thv:vmcp:session:${crypto.randomUUID()}`, "{}", "EX", 60);

      const { counts, status, stderr } = await importing(service.url, urlOf(server));
      const after = Date.now();
      const skipped = {
        "its key ends in no UUID": 2,
        "its data has a number that the service would round": 1,
        'the service has no type "quantum-2"': 1,
        'the service has no type ""': 1,
      };
      // A list, and a record with a metadata key that the service refuses.
      const broken = BROKEN_RECORDS.length + 2;
      const made = fixtures.length - BROKEN_RECORDS.length - 4;
      expect(counts).toEqual({ dryRun: false, made, alreadyThere: 0, skipped, failed: broken });
      expect(status).toBe(1);
      for (const { id } of fixtures.slice(-BROKEN_RECORDS.length)) {
        expect(stderr).toContain(`failed ${PREFIX}${id}: `);
      }
      expect(stderr).toMatch(/failed \S+: 400 invalid_request: metadata.__proto__: /);
      expect(stderr).toMatch(/failed \S+: the record is not valid JSON/);
      let found = 0;
      for (const { rule, id, json } of fixtures.slice(0, -BROKEN_RECORDS.length)) {
        const session = await sessionAt(service, id);
        const record = decodeRecord(json);
        if (!session) {
          expect(rule).toMatch(/numbers|type is kept|metadata keys are escaped/);
          continue;
        }
        found++;
        const data = record.type === "streamable" ? undefined : record.dataJson;
        expect([rule, session.type, session.metadata, session.data]).toEqual([
          rule,
          record.type,
          record.metadata,
          data === undefined ? undefined : JSON.parse(data),
        ]);
        // As long as it had left in Redis: not less, and no more than the import took.
        const ends = Date.parse(session.expiresAt);
        expect(ends).toBeGreaterThanOrEqual(before + HOUR_MS - 1);
        expect(ends).toBeLessThanOrEqual(after + HOUR_MS + 1);
      }
      expect(found).toBe(made);
      // Redis is as it was: nothing lives longer for being read.
      const first = fixtures[0]!;
      expect(await client.get(PREFIX + first.id)).toBe(first.json);
      expect(await client.pttl(PREFIX + first.id)).toBeLessThanOrEqual(
        stored + HOUR_MS - after + 1,
      );

      const again = await importing(service.url, urlOf(server));
      expect(again.counts).toEqual({ ...counts, made: 0, alreadyThere: made });
    }),
  );

  it.concurrent(
    "goes on where a run was killed, doubles nothing, and with --resume brings back nothing",
    beside(async ({ expect }: TestContext) => {
      const service = await Service.start();
      const server = await redis();
      const client = clientOf(server);
      const ids = Array.from({ length: 150 }, () => crypto.randomUUID());
      for (const id of ids) await client.set(...recordOf(id), "EX", 3600);
      const folder = await mkdtemp(join(tmpdir(), "holdfast-import-"));
      atEnd(() => rmSync(folder, { recursive: true, force: true }));
      const file = join(folder, "done");
      const args = ["--resume", file];
      const env = { PATH: process.env["PATH"], HOLDFAST_URL: service.url };
      const run = [await packedCommand(), "import", "--redis", urlOf(server), ...args];
      const first = spawn(process.execPath, run, { env, stdio: "ignore" });
      const ended = once(first, "exit");
      const done = () => {
        try {
          return readFileSync(file, "utf8").split("\n").length - 1;
        } catch {
          return 0;
        }
      };
      await expect.poll(done, { interval: 5, timeout: 60_000 }).toBeGreaterThan(20);
      first.kill("SIGKILL");
      await ended;
      const before = done();
      expect(before).toBeLessThan(ids.length);
      // Killed in the middle of a line.
      writeFileSync(file, readFileSync(file, "utf8") + ids.at(-1)!.slice(0, 7));

      // The import does not bring back a session that was ended since.
      const [gone = ""] = readFileSync(file, "utf8").split("\n");
      await service.send("DELETE", `/v1/sessions/${gone}`);
      const { counts, status } = await importing(service.url, urlOf(server), args);
      expect([status, counts.failed, counts.made + counts.alreadyThere]).toEqual([
        0,
        0,
        ids.length,
      ]);
      expect(counts.alreadyThere).toBeGreaterThanOrEqual(before);
      expect(await sessionAt(service, gone)).toBeUndefined();
      const count = async () =>
        (await service.send<{ count: number }>("GET", "/v1/sessions/count")).json.count;
      await expect.poll(count, { timeout: 60_000 }).toBe(ids.length - 1);
      // The service knows them, whatever the file says.
      const last = await importing(service.url, urlOf(server));
      expect(last.counts).toMatchObject({ made: 1, alreadyThere: ids.length - 1 });
    }),
  );

  it.concurrent(
    "looks by --dry-run and makes nothing; takes --ttl, --maps and --prefix",
    beside(async ({ expect }: TestContext) => {
      const service = await opened();
      const server = await redis();
      const client = clientOf(server);
      const [one, two] = [crypto.randomUUID(), crypto.randomUUID()];
      await client.set(...recordOf(one, "sse"), "EX", 60);
      // Go stores an id as it was given; a UUID is one session in whatever form.
      const urn = `urn:uuid:${two.toUpperCase()}`;
      await client.set(PREFIX + urn, recordOf(urn)[1]);
      await client.set(PREFIX + two, recordOf(two)[1]);
      const dry = await importing(service.url, urlOf(server), ["--dry-run"]);
      const skipped = { "its UUID has another key too": 1 };
      expect(dry.counts).toEqual({ dryRun: true, made: 2, alreadyThere: 0, skipped, failed: 0 });
      expect(await sessionAt(service, one)).toBeUndefined();
      const text = await holdfast(["import", "--redis", urlOf(server), "--dry-run"], {
        HOLDFAST_URL: service.url,
      });
      expect(text.stdout).toBe(
        "a dry run, nothing is made: made 2, already there 0, skipped 1, failed 0\n  skipped 1: its UUID has another key too\n",
      );

      const real = await importing(service.url, urlOf(server), ["--ttl", "500"]);
      expect([real.status, real.counts]).toEqual([0, { ...dry.counts, dryRun: false }]);
      expect(await sessionAt(service, one)).toMatchObject({ type: "sse", ttlSeconds: 500 });
      expect(await sessionAt(service, two)).toMatchObject({ type: "mcp", ttlSeconds: 500 });

      const three = crypto.randomUUID();
      const map =
        '{"vmcp.backend.ids":"a,b","vmcp.identity.binding":"https://idp.example\\u0000al"}';
      await client.set(`my:vmcp:${three}`, map);
      const maps = await importing(service.url, urlOf(server), ["--maps", "--prefix", "my:vmcp:"]);
      expect(maps.counts).toMatchObject({ made: 1, skipped: {}, failed: 0 });
      // Redis would keep it for ever, so the service's own TTL counts.
      expect(await sessionAt(service, three)).toMatchObject({
        type: "mcp",
        ttlSeconds: 7200,
        metadata: JSON.parse(map) as object,
      });
    }),
  );

  it.concurrent(
    "gives each session the owner that ToolHive bound it to, and an unbound one to nobody",
    beside(async ({ expect }: TestContext) => {
      const { variable, secrets } = await apiTokens({
        admin: ["root", ["admin"]],
        writer: ["w", ["sessions:read", "sessions:write"]],
      });
      const service = await Service.start({ AUTH: "token", API_TOKENS: variable });
      const [admin = "", writer = ""] = secrets;
      const server = await redis();
      const client = clientOf(server);
      const ids = [crypto.randomUUID(), crypto.randomUUID(), crypto.randomUUID()] as const;
      const bound = (to: string) => `,"metadata":{"vmcp.identity.binding":"${to}"}`;
      await client.set(...recordOf(ids[0], "mcp", bound("https://idp.example\\u0000ada")));
      await client.set(...recordOf(ids[1], "mcp", bound("unauthenticated")));
      await client.set(...recordOf(ids[2]));
      const from = ["--subject-from", "vmcp.identity.binding"];
      const refused = await importing(service.url, urlOf(server), from, { HOLDFAST_TOKEN: writer });
      expect([refused.status, refused.counts.made]).toEqual([4, 0]);
      expect(refused.stderr).toMatch(/holdfast: 403 forbidden: [^\n]+\n$/);
      const { counts } = await importing(service.url, urlOf(server), from, {
        HOLDFAST_TOKEN: admin,
      });
      const skipped = { "its metadata name no owner in vmcp.identity.binding": 2 };
      expect(counts).toMatchObject({ made: 1, skipped });
      const headers = { authorization: `Bearer ${admin}` };
      const { url } = service;
      const made = await fetch(`${url}/v1/sessions/${ids[0]}`, { headers });
      expect(await made.json()).toMatchObject({ subject: "https://idp.example#ada" });
    }),
  );

  it.concurrent(
    "lets a client of ToolHive's proxy go on through the gateway, in its session at the same server",
    beside(async ({ expect }: TestContext) => {
      const { service, url, fixture } = await fixtureBehindGateway();
      const direct = await McpSession.open(fixture.url);
      const server = await redis();
      const client = clientOf(server);
      const of = async (sid: string, backend = fixture.url) => {
        const id = crypto.randomUUID();
        const metadata = {
          backend_sid: sid,
          backend_url: backend,
          init_body: JSON.stringify(INITIALIZE),
        };
        const more = `,"metadata":${JSON.stringify(metadata)}`;
        await client.set(...recordOf(id, "mcp", more), "EX", 600);
        return id;
      };
      const lives = await of(direct.id);
      const lost = await of("a session that the server has lost");
      const elsewhere = await of(direct.id, "http://10.0.0.5:8080");
      const { counts } = await importing(service.url, urlOf(server), ["--upstream", "default"]);
      expect(counts).toMatchObject({ made: 3, failed: 0 });
      // A session that the server has lost gets a new one there, by its own initialize request. ToolHive
      // may have reached the server at an address that is not that of UPSTREAMS.
      for (const [id, sessions] of [
        [lives, 1],
        [lost, 2],
        [elsewhere, 2],
      ] as const) {
        const headers = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
        const answer = await post(url, toolCall(1, "test_simple_text"), headers);
        expect([answer.status, await answer.text()]).toEqual([
          200,
          expect.stringContaining("This is a simple text"),
        ]);
        expect(fixture.sessions.length).toBe(sessions);
      }
    }),
  );

  it.concurrent(
    "reads a Cluster, a master that Sentinels name, and TLS with a password",
    beside(async ({ expect }: TestContext) => {
      const { url } = await opened();
      const cluster = await startCluster();
      atEnd(() => cluster.stop());
      const hosts = cluster.nodes.map(({ addr }) => addr).join(",");
      for (let n = 0; n < 30; n++) {
        // A node refuses the keys of others, so one of them takes it.
        const [key, value] = recordOf(crypto.randomUUID());
        const tries = cluster.nodes.map((node) =>
          clientOf(node)
            .set(key, value)
            .catch(() => "no"),
        );
        expect(await Promise.all(tries)).toContain("OK");
      }
      const all = await importing(url, `redis://${hosts}`, ["--cluster"]);
      expect(all).toMatchObject({ status: 0, counts: { made: 30, failed: 0 } });

      const master = await redis();
      const sentinel = await startSentinel(master);
      atEnd(() => sentinel.stop());
      await clientOf(master).set(...recordOf(crypto.randomUUID()), "EX", 60);
      const named = await importing(url, urlOf(sentinel), ["--sentinel", MASTER_NAME]);
      expect(named).toMatchObject({ status: 0, counts: { made: 1 } });

      const certificates = await makeCertificates();
      atEnd(() => certificates.remove());
      const args = ["--requirepass", "hunter2"];
      const closed = await redis({ args, listen: certificates.listen });
      const from = urlOf(closed, "rediss");
      const tls = ["--ca", certificates.caFile];
      const secret = { THV_SESSION_REDIS_PASSWORD: "hunter2" };
      expect(await importing(url, from, tls, secret)).toMatchObject({ status: 0 });
      const others: [string, string[], Record<string, string>, number, RegExp][] = [
        [from, tls, {}, 4, /Redis asks for a password, and none was given \(NOAUTH\)/],
        [from, tls, { THV_SESSION_REDIS_PASSWORD: "no" }, 4, /Redis refused the user name/],
        [from, [], secret, 4, /The certificate of Redis was not accepted/],
        [from.replace("://", "://:hunter2@"), ["--insecure"], {}, 0, /^$/],
      ];
      for (const [address, more, env, status, line] of others) {
        const said = await importing(url, address, more, env);
        expect([said.status, said.stderr]).toEqual([status, expect.stringMatching(line)]);
        expect(said.stderr).not.toContain("hunter2");
      }
    }),
  );

  it.concurrent(
    "says in one line what is wrong with an argument, with Redis, or with the service",
    beside(async ({ expect }: TestContext) => {
      const { url } = await opened();
      const server = await redis();
      await clientOf(server).set(...recordOf(crypto.randomUUID()));
      const nobody = await freePort();
      const cases: [string[], string, number, RegExp][] = [
        [[], url, 2, /^--redis is needed; holdfast import --help$/],
        [["--redis", "http://127.0.0.1"], url, 2, /^--redis must be redis:/],
        [["--redis", "redis://:secret@a:1/x"], url, 2, /^--redis must be redis:/],
        [["--redis", "redis://a:1,b:2"], url, 2, /^several hosts need --cluster or --sentinel$/],
        [["--redis", "redis://a:99999"], url, 2, /^--redis: invalid Redis configuration: addr/],
        [["--redis", "redis://a", "--ca", "x"], url, 2, /^--ca and --insecure need a URL of redis/],
        [["--redis", "redis://a", "--prefix", "p"], url, 2, /^--redis: .*keyPrefix must end with/],
        [["--redis", `redis://127.0.0.1:${nobody}`], url, 5, /^Redis cannot be reached .*--redis/],
        [["--redis", urlOf(server)], `http://127.0.0.1:${nobody}`, 5, /^no answer from .*REFUSED$/],
      ];
      for (const [args, service, status, line] of cases) {
        const said = await holdfast(["import", ...args], { HOLDFAST_URL: service });
        expect([args, said.status]).toEqual([args, status]);
        const [last = ""] = said.stderr.trimEnd().split("\n").slice(-1);
        expect(last.replace("holdfast: ", "")).toMatch(line);
        expect(said.stderr).not.toMatch(/secret|^ +at /m);
      }

      const alone = await mkdtemp(join(tmpdir(), "holdfast-alone-"));
      atEnd(() => rmSync(alone, { recursive: true, force: true }));
      cpSync(dirname(dirname(await packedCommand())), alone, { recursive: true });
      const without = await holdfast(
        ["import", "--redis", urlOf(server)],
        { HOLDFAST_URL: url },
        "",
        join(alone, "bin/holdfast.js"),
      );
      expect([without.status, without.stderr]).toEqual([
        1,
        "holdfast: import needs the package ioredis beside this one: npm install ioredis\n",
      ]);
    }),
  );
});
