/** The lines about requests: one for a refusal with its reason, however many come, and one for each request if asked for. */
import { expect, it } from "vitest";
import { apiTokens } from "../support/api-tokens.ts";
import { scrape } from "../support/metrics.ts";
import { beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";

const refusals = (service: Service) =>
  service.lines.filter(({ event }) => event === "request.refused");

it.concurrent(
  "says why it refuses, and no credential",
  beside(async () => {
    const { variable, headers, secrets } = await apiTokens({
      reader: ["ada", ["sessions:read"]],
      busy: ["bob", ["sessions:read"]],
    });
    const service = await Service.start({
      AUTH: "token",
      API_TOKENS: variable,
      ALLOWED_HOSTS: "sessions.example",
      TICKET_SECRET: "s".repeat(32),
      RATE_LIMIT_PER_SUBJECT: "3",
      MAX_WRITERS: "1",
    });
    const get = (path: string, headers: Record<string, string> = {}) =>
      service.fetch(path, { headers });
    const id = crypto.randomUUID();
    await get("/v1/sessions");
    await get("/v1/sessions", { authorization: "Bearer hunter2" });
    await get(`/v1/sessions/${id}/events?ticket=hunter2`);
    await get("/v1/sessions", { origin: "https://evil.example" });
    await get("/metrics", headers["reader"]);
    for (let n = 0; n < 4; n++) await get(`/v1/sessions/${id}`, headers["busy"]);
    const seen = refusals(service).map(({ level, status, reason, route }) => [
      level,
      status,
      reason,
      route,
    ]);
    expect(seen).toEqual([
      ["info", 401, "no_credential", "GET /v1/sessions"],
      ["info", 401, "invalid_token", "GET /v1/sessions"],
      ["info", 401, "invalid_ticket", "GET /v1/sessions/:id/events"],
      ["info", 403, "origin", "GET /v1/sessions"],
      ["info", 403, "insufficient_scope", "GET /metrics"],
      ["info", 429, "rate_of_subject", "GET /v1/sessions/:id"],
    ]);
    const log = JSON.stringify(service.lines);
    expect(log).not.toContain("hunter2");
    expect(log).not.toContain(id);
    for (const secret of secrets) expect(log).not.toContain(secret);
  }),
);

it.concurrent(
  "writes one line for a thousand refusals of a kind, and counts all",
  beside(async () => {
    const service = await Service.start({ ALLOWED_ORIGINS: "https://page.example" });
    const headers = { origin: "https://evil.example" };
    for (let n = 0; n < 20; n++) {
      await Promise.all(
        Array.from({ length: 50 }, async () => {
          const response = await service.fetch(`/v1/sessions/${crypto.randomUUID()}`, { headers });
          await response.body?.cancel();
        }),
      );
    }
    expect(await scrape(service)).toMatchObject({
      'holdfast_refused_total{status="403",reason="origin"}': 1000,
    });
    // On a slow machine ten seconds may pass meanwhile.
    expect(refusals(service).length).toBeLessThan(20);
    expect(refusals(service)[0]).toMatchObject({ status: 403, reason: "origin" });
  }),
);

it.concurrent(
  "writes a line for each request with LOG_REQUESTS, and none without",
  beside(async () => {
    const [silent, telling] = [
      await Service.start(),
      await Service.start({ LOG_REQUESTS: "true" }),
    ];
    for (const service of [silent, telling]) {
      const { id } = await service.make();
      await service.fetch(`/v1/sessions/${id}?touch=false`);
      await service.fetch("/nothing/hunter2");
    }
    const lines = telling.lines.filter(({ event }) => event === "request");
    expect(lines.map(({ route, status }) => [route, status])).toEqual([
      ["POST /v1/sessions", 201],
      ["GET /v1/sessions/:id", 200],
      ["none", 404],
    ]);
    expect(lines[1]).toMatchObject({ session: expect.stringMatching(/^[0-9a-f]{8}…$/) as string });
    for (const { ms } of lines) expect(ms).toBeGreaterThanOrEqual(0);
    expect(JSON.stringify(lines)).not.toContain("hunter2");
    expect(silent.lines.filter(({ event }) => event === "request")).toEqual([]);
  }),
);
