/**
 * A fuzzer over real HTTP, against plain workerd with AUTH=token. Its callers have every scope but
 * admin, or a wrong credential, or none. A victim's session with a reader attached is among their
 * targets. FUZZ_REQUESTS runs more requests, FUZZ_SEED repeats a run, and FUZZ_SECONDS bounds the
 * time.
 */
import { expect, it } from "vitest";
import { SCOPES } from "../../src/auth/identity.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { CANARY } from "../support/canary.ts";
import { FuzzClient } from "../support/fuzz/client.ts";
import { Random } from "../support/fuzz/random.ts";
import { makeNoise, makeRequest, type OpenApi, type Seeds } from "../support/fuzz/requests.ts";
import { findingOf } from "../support/fuzz/verdict.ts";
import { Service } from "../support/service.ts";
import { SseReader } from "../support/sse-reader.ts";

const REQUESTS = Number(process.env["FUZZ_REQUESTS"] ?? 50_000);
const SECONDS = Number(process.env["FUZZ_SECONDS"] ?? 60);
const SEED = Number(process.env["FUZZ_SEED"] ?? Date.now() % 1_000_000);
const WORKERS = 24;
/** Share of requests that are no HTTP at all; each costs a connection. */
const NOISE = 0.01;

/** Noise was answered with a failure of ours. workerd's own 501 is for methods that HTTP does not have. */
const FAILED = /^HTTP\/1\.1 5(?!01 )/;

const MARK = `${CANARY}-${crypto.randomUUID()}`;
const TICKET_SECRET = `ticket-secret-${crypto.randomUUID()}`;
const most = SCOPES.filter((scope) => scope !== "admin");

it(
  `finds nothing in ${REQUESTS} requests (seed ${SEED})`,
  { timeout: 1000 * (SECONDS + 60) },
  async () => {
    const tokens = await apiTokens({
      victim: ["victim", most],
      attacker: ["attacker", most],
      reader: ["attacker", ["sessions:read", "events:subscribe"]],
      nothing: ["attacker", []],
    });
    const service = await Service.start({
      AUTH: "token",
      API_TOKENS: tokens.variable,
      TICKET_SECRET,
      RATE_LIMIT_PER_SUBJECT: "0",
      RATE_LIMIT_PER_ADDRESS: "0",
      KEEPALIVE_SECONDS: "1",
      ALLOWED_ORIGINS: "https://app.example",
      LOG_LEVEL: "debug",
    });
    const { pid } = service;
    const as = (who: string) => ({ ...tokens.headers[who]!, "content-type": "application/json" });
    const make = async (who: string, body: object) => {
      const response = await service.fetch("/v1/sessions", {
        method: "POST",
        body: JSON.stringify(body),
        headers: as(who),
      });
      return ((await response.json()) as { id: string }).id;
    };
    const victim = await make("victim", { metadata: { [MARK]: MARK }, data: MARK });
    const look = async (path: string) => {
      const headers = { ...as("victim") };
      return JSON.parse(await (await service.fetch(path, { headers })).text()) as {
        expiresAt: string;
      };
    };
    const followed = await service.fetch(`/v1/sessions/${victim}/events`, {
      headers: as("victim"),
    });
    const reader = new SseReader(followed.body!);
    const published = await service.fetch(`/v1/sessions/${victim}/events`, {
      method: "POST",
      body: JSON.stringify({ data: MARK }),
      headers: as("victim"),
    });
    expect(published.status).toBe(202);
    const before = await look(`/v1/sessions/${victim}?touch=false`);

    const own = await Promise.all(Array.from({ length: 6 }, () => make("attacker", {})));
    const ticketOf = async (id: string) => {
      const response = await service.fetch(`/v1/sessions/${id}/tickets`, {
        method: "POST",
        headers: as("attacker"),
      });
      return ((await response.json()) as { ticket: string }).ticket;
    };
    const tickets = await Promise.all(own.slice(0, 2).map(ticketOf));
    // A ticket lets in to its own stream, so its session is none of those that requests aim at.
    await Promise.all(
      own
        .slice(0, 2)
        .map((id) =>
          service.fetch(`/v1/sessions/${id}`, { method: "DELETE", headers: as("attacker") }),
        ),
    );
    const random = new Random(SEED);
    const seeds: Seeds = {
      document: (await (await service.fetch("/openapi.json")).json()) as OpenApi,
      ids: [victim, victim, ...own.slice(2), random.uuid()],
      credentials: ["attacker", "attacker", "attacker", "reader", "nothing"].map(
        (who) => tokens.headers[who]!.authorization,
      ),
      wrongCredentials: [
        undefined,
        undefined,
        "Bearer x",
        `Bearer hf_${"A".repeat(43)}`,
        "Basic eDp4",
        "Bearer",
        "",
        `Bearer ${tickets[0]}`,
      ],
      tickets,
    };
    const secrets = [MARK, TICKET_SECRET, ...tokens.secrets];

    const client = new FuzzClient(service.port);
    const findings: string[] = [];
    const statuses: Record<string, number> = {};
    const began = performance.now();
    let sent = 0;
    const within = () =>
      sent < REQUESTS && performance.now() - began < SECONDS * 1000 && findings.length < 10;
    const work = async () => {
      while (within()) {
        sent++;
        if (random.chance(NOISE)) {
          const bytes = makeNoise(random);
          const answer = await client.noise(bytes);
          const leaks = secrets.some((secret) => answer.includes(secret));
          if (leaks || FAILED.test(answer))
            findings.push(`${bytes.toString("latin1")} => ${answer}`);
          continue;
        }
        const request = makeRequest(random, seeds);
        let answer = await client.send(request);
        // The service may close a kept connection just as it is used again; a fresh one tells that from a crash.
        for (let n = 0; n < 3 && /^(ECONNRESET|EPIPE|socket hang up)$/.test(String(answer)); n++) {
          statuses["closed"] = (statuses["closed"] ?? 0) + 1;
          answer = await client.send(request);
        }
        const finding = findingOf(request, answer, { secrets });
        const status = typeof answer === "string" ? answer : String(answer.status);
        statuses[status] = (statuses[status] ?? 0) + 1;
        if (finding === undefined) continue;
        const { body, ...shown } = request;
        findings.push(
          JSON.stringify({ finding, ...shown, body: body?.toString("utf8").slice(0, 300), answer }),
        );
      }
    };
    await Promise.all(Array.from({ length: WORKERS }, work));
    client.close();
    const seconds = (performance.now() - began) / 1000;
    console.log(
      `fuzz: seed ${SEED}, ${sent} requests in ${seconds.toFixed(1)} s`,
      JSON.stringify(statuses),
    );

    expect(findings).toEqual([]);
    expect(service.pid).toBe(pid);
    expect((await service.fetch("/healthz")).status).toBe(200);
    // The victim's reader was attached all the time, so only the end of its life moves by itself.
    const after = await look(`/v1/sessions/${victim}?touch=false`);
    expect({ ...after, expiresAt: "" }).toEqual({ ...before, expiresAt: "" });
    await reader.until(new RegExp(MARK));
    expect(reader.ended).toBe(false);
    expect(reader.text.match(/^event: .*$/gm)).toBeNull();
    expect(reader.text.match(new RegExp(MARK, "g"))).toHaveLength(1);
    const logs = JSON.stringify(service.lines);
    for (const secret of [...secrets, ...tickets]) expect(logs).not.toContain(secret);
    expect(service.lines.filter(({ event }) => event === "request.crashed")).toEqual([]);
  },
);
