/** `/metrics`: the numbers are what the test did, Prometheus' own tool takes them, and an admin alone gets them. */
import { spawnSync } from "node:child_process";
import { expect, it, type TestContext } from "vitest";
import { SCOPES } from "../../src/auth/identity.ts";
import { METRICS } from "../../src/signals/metrics.ts";
import { apiTokens } from "../support/api-tokens.ts";
import { answering, startGateway, startUpstream } from "../support/mcp/gateway.ts";
import { McpSession, toolCall } from "../support/mcp/client.ts";
import { metricsText, scrape } from "../support/metrics.ts";
import { Service } from "../support/service.ts";
import { beside } from "../support/scope.ts";
import { SseReader } from "../support/sse-reader.ts";

it.concurrent(
  "counts what was done with sessions, events and streams",
  beside(async ({ expect }: TestContext) => {
    const service = await Service.start({ KEEPALIVE_SECONDS: "0.2", QUEUE_CAPACITY: "2" });
    const [first, second] = [await service.make(), await service.make({ type: "sse" })];
    const unread = await service.make();
    const open = async () =>
      new SseReader((await service.fetch(`/v1/sessions/${first.id}/events`)).body!);
    const readers = [await open(), await open()];
    await service.publish(first.id, { data: "one" });
    await service.publish(first.id, [{ data: "two" }, { data: "three" }]);
    for (const reader of readers) expect(await reader.take(3)).toHaveLength(3);
    const late = new SseReader(
      (await service.fetch(`/v1/sessions/${first.id}/events?from=earliest`)).body!,
    );
    expect(await late.take(3)).toHaveLength(3);
    // A publish that is repeated under its key counts once.
    for (let n = 0; n < 2; n++) {
      await service.fetch(`/v1/sessions/${second.id}/events`, {
        method: "POST",
        body: '{"data":"four"}',
        headers: { "content-type": "application/json", "idempotency-key": "k" },
      });
    }
    await service.publish(unread.id, [{ data: "five" }, { data: "six" }]);
    expect((await service.publish(unread.id, { data: "too many" })).status).toBe(503);

    expect(await scrape(service)).toMatchObject({
      holdfast_events_published_total: 6,
      holdfast_events_delivered_total: 9,
      holdfast_streams_open: 3,
      holdfast_streams_opened_total: 3,
      holdfast_objects_awake: 3,
      'holdfast_requests_total{route="POST /v1/sessions",status="201"}': 3,
      'holdfast_requests_total{route="POST /v1/sessions/:id/events",status="202"}': 5,
      'holdfast_requests_total{route="POST /v1/sessions/:id/events",status="503"}': 1,
      'holdfast_requests_total{route="GET /v1/sessions/:id/events",status="200"}': 3,
      'holdfast_refused_total{status="503",reason="message_channel_full"}': 1,
      'holdfast_readers_cut_total{reason="slow"}': 0,
      'holdfast_ready{check="storage"}': 1,
      'holdfast_ready{check="directory"}': 1,
    });

    await late.leave();
    await expect.poll(async () => (await scrape(service))["holdfast_streams_open"]).toBe(2);
    // The end of a stream is no event; the last event before it is one.
    await service.send("POST", `/v1/sessions/${first.id}/end`, { data: "last" });
    for (const reader of readers) expect((await reader.rest()).at(-1)?.event).toBe("ended");
    await service.send("DELETE", `/v1/sessions/${second.id}`);
    expect(await scrape(service)).toMatchObject({
      holdfast_events_published_total: 7,
      holdfast_events_delivered_total: 11,
      holdfast_streams_open: 0,
      holdfast_objects_awake: 2,
      'holdfast_sessions_ended_total{reason="deleted"}': 1,
      'holdfast_sessions_ended_total{reason="expired"}': 0,
    });
  }),
);

it.concurrent(
  "counts the sessions by type, as the directory lists them",
  beside(async ({ expect }: TestContext) => {
    const service = await Service.start();
    for (const type of ["mcp", "mcp", "sse"]) await service.make({ type });
    await expect
      .poll(() => service.send("GET", "/v1/sessions/count"))
      .toMatchObject({ json: { count: 3 } });
    expect(await scrape(service)).toMatchObject({
      'holdfast_sessions{type="mcp"}': 2,
      'holdfast_sessions{type="sse"}': 1,
      'holdfast_sessions{type="streamable"}': 0,
    });
  }),
);

it.concurrent(
  "says nothing of sessions where nothing lists them",
  beside(async () => {
    const service = await Service.start({ DIRECTORY_SHARDS: "0" });
    await service.make();
    const names = Object.keys(await scrape(service));
    expect(names.filter((name) => /^holdfast_sessions\{|check="directory"/.test(name))).toEqual([]);
  }),
);

it.concurrent(
  "counts an upstream's answers and failures by its configured name",
  beside(async () => {
    const upstream = await startUpstream(
      answering((_request, { id, method }) => {
        if (method !== "tools/call") return new Response(null, { status: 405 });
        return Response.json({ jsonrpc: "2.0", id, result: { content: [] } });
      }),
    );
    const { service, url } = await startGateway({
      default: { url: `${upstream.url}/mcp` },
      dead: { url: "http://127.0.0.1:1/mcp" },
    });
    const session = await McpSession.open(url);
    const before = await scrape(service);
    for (let n = 0; n < 3; n++) await session.call(toolCall(n, "x"));
    await McpSession.open(`${url}/dead`).catch(() => undefined);
    const after = await scrape(service);
    const grown = (name: string) => (after[name] ?? 0) - (before[name] ?? 0);
    expect(grown('holdfast_upstream_requests_total{upstream="default",outcome="ok"}')).toBe(3);
    expect(grown('holdfast_upstream_requests_total{upstream="dead",outcome="unreachable"}')).toBe(
      1,
    );
    expect(grown('holdfast_upstream_failures_total{upstream="dead",kind="unreachable"}')).toBe(1);
    expect(grown("holdfast_upstream_seconds_count")).toBe(4);
    expect(grown('holdfast_upstream_seconds_bucket{le="+Inf"}')).toBe(4);
    expect(grown('holdfast_requests_total{route="POST /mcp",status="200"}')).toBe(3);
    expect(await service.logged(({ event }) => event === "upstream.failed")).toMatchObject({
      upstream: "dead",
      kind: "unreachable",
    });
  }),
);

it.concurrent(
  "passes promtool check metrics, with a value of every metric",
  beside(async () => {
    const { service, url } = await startGateway({ default: { url: "http://127.0.0.1:1/mcp" } });
    await McpSession.open(url).catch(() => undefined);
    const text = await metricsText(service);
    const { status, stdout, stderr } = spawnSync("promtool", ["check", "metrics"], {
      input: text,
      encoding: "utf8",
    });
    expect([status, stdout + stderr]).toEqual([0, ""]);
    for (const { name, type } of METRICS) expect(text).toContain(`\n# TYPE ${name} ${type}\n`);
  }),
);

it.concurrent(
  "has no value of a label that a client chooses",
  beside(async () => {
    const service = await Service.start();
    for (const path of ["/mark-1", "/v1/sessions/mark-2", "/mcp/mark-3", "/v1/sessions?mark-4=1"]) {
      await service.fetch(path);
      await service.fetch(path, { method: "PURGE" });
    }
    await service.fetch("/mcp", { method: "MARK5" }).catch(() => undefined);
    await service.fetch("/healthz", { headers: { origin: "https://mark-6.example" } });
    const text = await metricsText(service);
    expect(text).not.toMatch(/mark|PURGE/i);
    expect(text).toContain('route="none",status="404"');
  }),
);

it.concurrent(
  "is for an admin: with AUTH set, this machine is no credential",
  beside(async () => {
    const { variable, headers } = await apiTokens({
      admin: ["ops", ["admin"]],
      user: ["ada", SCOPES.filter((scope) => scope !== "admin")],
    });
    const service = await Service.start({ AUTH: "token", API_TOKENS: variable });
    const ask = async (init: RequestInit = {}) => (await service.fetch("/metrics", init)).status;
    expect(await ask()).toBe(401);
    expect(await ask({ headers: { authorization: "Bearer wrong" } })).toBe(401);
    expect(await ask({ headers: headers["user"]! })).toBe(403);
    expect(await ask({ headers: headers["admin"]! })).toBe(200);
    expect(await scrape(service, headers["admin"])).toMatchObject({
      'holdfast_refused_total{status="401",reason="no_credential"}': 1,
      'holdfast_refused_total{status="401",reason="invalid_token"}': 1,
      'holdfast_refused_total{status="403",reason="insufficient_scope"}': 1,
    });
  }),
);

it.concurrent(
  "is for this machine while AUTH is unset, and stands in the OpenAPI document",
  beside(async () => {
    const service = await Service.start();
    const foreign = { headers: { "x-forwarded-for": "192.0.2.7" } };
    expect((await service.fetch("/metrics", foreign)).status).toBe(401);
    const document = (await (await service.fetch("/openapi.json")).json()) as { paths: object };
    expect(document.paths).toHaveProperty("/metrics");
  }),
);
