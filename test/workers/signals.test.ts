/** The signals of a Worker of one's own: readiness, Analytics Engine and spans, and no `/metrics`. */
import { env as platformEnv, tracing } from "cloudflare:workers";
import { afterEach, expect, it } from "vitest";
import { createHoldfast } from "../../src/entries/worker.ts";
import { countInto } from "../../src/signals/metric.ts";
import { traceWith } from "../../src/signals/traces.ts";
import { told } from "../support/object.ts";

type Env = Readonly<Record<string, unknown>>;
const ORIGIN = "https://app.example";

afterEach(() => {
  countInto({ writeDataPoint: () => undefined });
  traceWith({ tracing });
});

/** An app with every right, whose env has these bindings too. */
function appWith(bindings: Env = {}) {
  const holdfast = createHoldfast<Env>({
    basePath: "/live",
    authenticate: () => ({ subject: "ada", scopes: ["admin"] }),
  });
  const env = { ...(platformEnv as unknown as Env), ...bindings };
  return {
    sessions: holdfast.sessions(env),
    request: (path: string, init?: RequestInit) =>
      holdfast.fetch(new Request(ORIGIN + path, init), env),
  };
}

it("is ready under its base path, and has no /metrics", async () => {
  const { request } = appWith();
  const ready = await request("/live/readyz");
  expect([ready.status, await ready.json()]).toEqual([200, { status: "ready" }]);
  expect((await request("/live/metrics")).status).toBe(404);
  expect(await (await request("/live/openapi.json")).json()).not.toHaveProperty([
    "paths",
    "/metrics",
  ]);
});

it("writes each count into the dataset that is bound as METRICS", async () => {
  const points: { indexes: string[]; blobs: string[]; doubles: number[] }[] = [];
  const METRICS = { writeDataPoint: (point: (typeof points)[number]) => points.push(point) };
  const { sessions, request } = appWith({ METRICS });
  const { id } = await sessions.create();
  await sessions.publish(id, [{ data: "one" }, { data: "two" }]);
  await request(`/live/v1/sessions/${id}`);
  await request("/live/v1/sessions/x");
  await told(id);
  const of = (name: string) =>
    points
      .filter(({ indexes }) => indexes[0] === name)
      .map(({ blobs, doubles }) => [...blobs.slice(1), ...doubles]);
  expect(of("holdfast_events_published_total")).toEqual([[2]]);
  expect(of("holdfast_requests_total")).toEqual([
    ["GET /v1/sessions/:id", "200", 1],
    ["GET /v1/sessions/:id", "400", 1],
  ]);
  expect(JSON.stringify(points)).not.toContain(id);
});

it("makes spans for publishes, with the outcome and nothing of the session", async () => {
  const { sessions } = appWith();
  const spans: [string, Record<string, string>][] = [];
  traceWith({
    tracing: {
      enterSpan<T>(name: string, work: (span: object) => T): T {
        const attributes: Record<string, string> = {};
        spans.push([name, attributes]);
        return work({
          isTraced: true,
          setAttribute: (key: string, value: string) => (attributes[key] = value),
        });
      },
    },
  });
  const { id } = await sessions.create();
  const key = { idempotencyKey: "k" };
  await sessions.publish(id, { data: "secret" }, key);
  await sessions.publish(id, { data: "secret" }, key);
  await sessions.end(id);
  await expect(sessions.publish(id, { data: "late" })).rejects.toThrow();
  expect(spans).toEqual([
    ["holdfast.publish", { outcome: "stored" }],
    ["holdfast.publish", { outcome: "replayed" }],
    ["holdfast.publish", { outcome: "stream_ended" }],
  ]);
});
