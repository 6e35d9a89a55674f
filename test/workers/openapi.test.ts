/** Every route and every status of the OpenAPI document is real. */
import { exports } from "cloudflare:workers";
import { expect, it } from "vitest";
import { call, FROM_HERE, make, pathOf, request } from "../support/call.ts";
import { tokenApp } from "../support/guarded-app.ts";
import { appWithLimit } from "../support/directory.ts";
import { SseReader } from "../support/sse-reader.ts";
import * as z from "zod";

interface Operation {
  readonly description?: string;
  readonly parameters: readonly {
    name: string;
    in: string;
    description?: string;
    required?: boolean;
    schema: z.core.JSONSchema.JSONSchema;
  }[];
  readonly requestBody?: { readonly required: boolean };
  readonly responses: Record<string, unknown>;
}

interface Document {
  readonly openapi: string;
  readonly components: { readonly schemas: Record<string, z.core.JSONSchema.JSONSchema> };
  readonly paths: Record<string, Record<string, Operation>>;
}

const document = async () => (await call<Document>("GET", "/openapi.json")).json;
const raw = (path: string, init: RequestInit) =>
  (exports as unknown as { default: Fetcher }).default.fetch(`http://localhost${path}`, {
    ...init,
    headers: { ...FROM_HERE, ...init.headers },
  });
const unknown = () => pathOf(crypto.randomUUID());
const asJson = { "content-type": "application/json" };
const text = { "content-type": "text/plain" };
const huge = { data: "x".repeat(1_100_000) };

/**
 * No request makes a backend fail (503), so test/unit/app.test.ts uses a failing host.
 * guard.test.ts provokes the guard's answers on every route.
 */
const ELSEWHERE = new Set(["401", "403", "414", "429", "431", "503"]);

/** For each operation, one request for each status of its description. */
const PROVOCATIONS: Record<string, Record<string, () => Promise<{ status: number }>>> = {
  "post /v1/sessions": {
    201: () => request("POST", "/v1/sessions", {}),
    400: () => request("POST", "/v1/sessions", { nope: 1 }),
    409: async () => request("POST", "/v1/sessions", { id: (await make()).id }),
    413: () => request("POST", "/v1/sessions", huge),
    415: () => raw("/v1/sessions", { method: "POST", body: "{}", headers: text }),
    429: () => limited({ method: "POST", path: "/v1/sessions" }),
  },
  "get /v1/sessions": {
    200: () => request("GET", "/v1/sessions?limit=1"),
    400: () => request("GET", "/v1/sessions?limit=0"),
  },
  "get /v1/sessions/count": {
    200: () => request("GET", "/v1/sessions/count"),
    400: () => request("GET", "/v1/sessions/count?type=x"),
  },
  "delete /v1/sessions": {
    202: () => request("DELETE", "/v1/sessions?subject=nobody"),
    400: () => request("DELETE", "/v1/sessions"),
  },
  "get /v1/sessions/{id}": {
    200: async () => request("GET", pathOf((await make()).id)),
    304: async () => readIf("if-none-match", "*"),
    400: () => request("GET", pathOf("x")),
    404: () => request("GET", unknown()),
    412: async () => readIf("if-match", '"x"'),
  },
  "put /v1/sessions/{id}": {
    200: async () => request("PUT", pathOf((await make()).id), {}),
    201: () => request("PUT", unknown(), {}),
    400: () => request("PUT", unknown(), { nope: 1 }),
    404: async () => {
      const { app, headers } = await tokenApp({
        owner: ["alice", ["sessions:write"]],
        stranger: ["mallory", ["sessions:write"]],
      });
      const path = unknown();
      const put = (who: string) =>
        app.request(path, { method: "PUT", body: "{}", headers: { ...headers[who], ...asJson } });
      await put("owner");
      return put("stranger");
    },
    412: () => request("PUT", unknown(), {}, { "if-match": '"x"' }),
    413: () => request("PUT", unknown(), huge),
    415: () => raw(unknown(), { method: "PUT", body: "{}", headers: text }),
    429: () => limited({ method: "PUT", path: unknown() }),
  },
  "patch /v1/sessions/{id}": {
    200: async () => request("PATCH", pathOf((await make()).id), {}),
    400: () => request("PATCH", unknown(), { nope: 1 }),
    404: () => request("PATCH", unknown(), {}),
    412: async () => request("PATCH", pathOf((await make()).id), {}, { "if-match": '"x"' }),
    413: async () => request("PATCH", pathOf((await make()).id), huge),
    415: () => raw(unknown(), { method: "PATCH", body: "{}", headers: text }),
  },
  "delete /v1/sessions/{id}": {
    204: () => request("DELETE", unknown()),
    400: () => request("DELETE", pathOf("x")),
    412: () => request("DELETE", unknown(), undefined, { "if-match": '"x"' }),
  },
  "post /v1/sessions/{id}/events": {
    202: async () => request("POST", pathOf((await make()).id, "/events"), { data: 1 }),
    400: () => request("POST", `${unknown()}/events`, {}),
    404: () => request("POST", `${unknown()}/events`, { data: 1 }),
    413: async () => request("POST", pathOf((await make()).id, "/events"), huge),
    415: () => raw(`${unknown()}/events`, { method: "POST", body: "{}", headers: text }),
    422: async () => {
      const path = pathOf((await make()).id, "/events");
      await request("POST", path, { data: 1 }, { "idempotency-key": "k" });
      return request("POST", path, { data: 2 }, { "idempotency-key": "k" });
    },
    503: async () => {
      const { id } = await make();
      await request("POST", pathOf(id, "/disconnect"));
      return request("POST", pathOf(id, "/events"), { data: 1 });
    },
    409: async () => {
      const { id } = await make();
      await request("POST", pathOf(id, "/end"));
      return request("POST", pathOf(id, "/events"), { data: 1 });
    },
  },
  "get /v1/sessions/{id}/events": {
    200: async () => {
      const response = await request("GET", pathOf((await make()).id, "/events"));
      await response.body?.cancel();
      return response;
    },
    204: async () => {
      const { id } = await make();
      const end = await call<{ id: string }>("POST", pathOf(id, "/end"));
      return request("GET", pathOf(id, `/events?lastEventId=${end.json.id}`));
    },
    400: () => request("GET", `${unknown()}/events?from=x`),
    404: () => request("GET", `${unknown()}/events`),
  },
  "post /v1/sessions/{id}/end": {
    202: async () => request("POST", pathOf((await make()).id, "/end")),
    400: () => request("POST", `${unknown()}/end`, []),
    404: () => request("POST", `${unknown()}/end`),
    413: async () => request("POST", pathOf((await make()).id, "/end"), huge),
    415: () => raw(`${unknown()}/end`, { method: "POST", body: "{}", headers: text }),
  },
  "post /v1/sessions/{id}/disconnect": {
    204: async () => request("POST", pathOf((await make()).id, "/disconnect")),
    400: () => request("POST", pathOf("x", "/disconnect")),
    404: () => request("POST", `${unknown()}/disconnect`),
  },
  "post /v1/sessions/{id}/tickets": {
    201: async () => request("POST", pathOf((await make()).id, "/tickets")),
    400: () => request("POST", pathOf("x", "/tickets")),
    404: () => request("POST", `${unknown()}/tickets`),
  },
  "get /.well-known/oauth-protected-resource": {
    200: async () =>
      (await tokenApp({ a: ["a", []] })).app.request("/.well-known/oauth-protected-resource"),
    404: () => request("GET", "/.well-known/oauth-protected-resource"),
  },
  "get /readyz": { 200: () => request("GET", "/readyz") },
  "get /healthz": { 200: () => request("GET", "/healthz") },
  "get /openapi.json": { 200: () => request("GET", "/openapi.json") },
};

async function readIf(condition: string, value: string): Promise<Response> {
  return request("GET", pathOf((await make()).id), undefined, { [condition]: value });
}

/** Makes one session more than its subject may have. */
async function limited({ method, path }: { method: string; path: string }): Promise<Response> {
  const app = appWithLimit(1);
  const subject = crypto.randomUUID();
  await app("POST", "/v1/sessions", { subject });
  return app(method, path, { subject });
}

it("is OpenAPI 3.1 and resolves its references", async () => {
  const json = await document();
  expect(json.openapi).toMatch(/^3\.1\./);
  const whole = JSON.stringify(json);
  for (const [, name] of whole.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(json).toHaveProperty(["components", "schemas", name!]);
  }
});

it("describes each route with statuses that it really answers, and no others", async () => {
  const { paths } = await document();
  const described = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { responses }]) => ({
      name: `${method} ${path}`,
      statuses: Object.keys(responses),
    })),
  );
  expect(described.map(({ name }) => name).toSorted()).toEqual(
    Object.keys(PROVOCATIONS).toSorted(),
  );
  for (const { name, statuses } of described) {
    const provocations = PROVOCATIONS[name] ?? {};
    expect([name, statuses.filter((status) => !ELSEWHERE.has(status))]).toEqual([
      name,
      Object.keys(provocations).filter((status) => !ELSEWHERE.has(status)),
    ]);
    for (const [status, provoke] of Object.entries(provocations)) {
      expect([name, (await provoke()).status]).toEqual([name, Number(status)]);
    }
  }
});

it("says which query parameters must be there, and where others are refused", async () => {
  const { paths } = await document();
  const queryOf = (operation: Operation | undefined) =>
    operation?.parameters.map(({ name, required = false }) => [name, required]);
  const list = paths["/v1/sessions"]?.["get"];
  expect(queryOf(list)).toEqual([
    ["type", false],
    ["subject", false],
    ["limit", false],
    ["cursor", false],
  ]);
  expect(list?.parameters[2]?.schema).toMatchObject({ default: 50, minimum: 1, maximum: 200 });
  expect(queryOf(paths["/v1/sessions"]?.["delete"])).toEqual([["subject", false]]);
  const strict = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations)
      .filter(([, { description }]) => description?.includes("refused"))
      .map(([method]) => `${method} ${path}`),
  );
  expect(strict.toSorted()).toEqual([
    "delete /v1/sessions",
    "get /v1/sessions",
    "get /v1/sessions/count",
  ]);
});

it("says which requests need a body", async () => {
  const { paths } = await document();
  const bodies = Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([method, { requestBody }]) =>
      requestBody ? [[`${method} ${path}`, requestBody.required]] : [],
    ),
  );
  expect(Object.fromEntries(bodies)).toEqual({
    "post /v1/sessions": false,
    "put /v1/sessions/{id}": true,
    "patch /v1/sessions/{id}": true,
    "post /v1/sessions/{id}/end": false,
    "post /v1/sessions/{id}/events": true,
  });
});

it("says which conditions a session's methods take", async () => {
  const { paths } = await document();
  const conditions = Object.entries(paths["/v1/sessions/{id}"] ?? {}).map(([method, operation]) => [
    method,
    operation.parameters
      .filter((parameter) => parameter.in === "header")
      .map(({ name, description = "" }) => `${name}: ${/\b[34]\d\d\b.*/.exec(description)?.[0]}`),
  ]);
  expect(Object.fromEntries(conditions)).toEqual({
    get: [
      "If-Match: 412",
      "If-None-Match: 304 where one of these entity tags is that of the session as it is before the read, or it exists (*). A read that counts as use moves `expiresAt`, and so the tag",
    ],
    put: [
      "If-Match: 412, and nothing changes",
      "If-None-Match: 412 where there is one. Entity tags are refused with 400",
    ],
    patch: ["If-Match: 412, and nothing changes", "If-None-Match: 400"],
    delete: ["If-Match: 412, and nothing changes", "If-None-Match: 400"],
  });
});

it("says what form a key and an id have, and what a page's gap is", async () => {
  const { paths, components } = await document();
  const { get, post } = paths["/v1/sessions/{id}/events"]!;
  const schemaOf = (operation: Operation | undefined, name: string) =>
    z.fromJSONSchema(operation!.parameters.find((one) => one.name === name)!.schema);
  const { id } = await make();
  const published = await call<{ id: string }>("POST", pathOf(id, "/events"), { data: 1 });
  const after = schemaOf(get, "after");
  expect([published.json.id, "", "x"].map((text) => after.safeParse(text).success)).toEqual([
    true,
    false,
    false,
  ]);
  const key = schemaOf(post, "Idempotency-Key");
  const keys = ['"k"', "x".repeat(255), "x".repeat(256), "", "a b", "é"];
  const isKey = keys.map((text) => key.safeParse(text).success);
  expect(isKey).toEqual([true, true, false, false, false, false]);
  expect(get?.responses["204"]).toMatchObject({ headers: { "Cache-Control": {} } });
  expect(components.schemas["EventPage"]?.properties?.["gap"]).toEqual({
    $ref: "#/components/schemas/Gap",
  });
  const gap = z.fromJSONSchema(components.schemas["Gap"]!);
  const page = await call<{ gap: unknown }>("GET", pathOf(id, "/events"), undefined, {
    accept: "application/json",
    "last-event-id": "x",
  });
  expect(gap.safeParse(page.json.gap).success).toBe(true);
  expect(gap.safeParse({ requested: null, earliest: null }).success).toBe(true);
});

it("describes the frames of a stream, each with its data", async () => {
  const { paths, components } = await document();
  const follow = paths["/v1/sessions/{id}/events"]?.["get"]?.responses["200"] as {
    content: Record<string, { "x-itemSchema"?: { anyOf: readonly { $ref: string }[] } }>;
  };
  const names = follow.content["text/event-stream"]?.["x-itemSchema"]?.anyOf.map(({ $ref }) =>
    $ref.split("/").at(-1)!,
  );
  expect(names).toEqual([
    "OpeningFrame",
    "EventFrame",
    "GapFrame",
    "EndedFrame",
    "ExpiredFrame",
    "DeletedFrame",
  ]);
  const namesFor = (frame: object) =>
    names?.filter((name) => fits(components.schemas[name]!, frame)) ?? [];

  const { id } = await make();
  await request("POST", pathOf(id, "/events"), { event: "tick", data: { a: 1 } });
  const unknownId = { "last-event-id": "x" };
  const { body } = await request("GET", pathOf(id, "/events"), undefined, unknownId);
  const reader = new SseReader(body!);
  await reader.until(/tick/);
  await request("DELETE", pathOf(id));
  const frames = await reader.rest();
  expect(reader.text).toMatch(/^retry: \d+\nretry: \d+\nevent: gap\n/);
  const plain = new SseReader((await request("GET", pathOf((await make()).id, "/events"))).body!);
  await plain.until(/retry: \d+\n\n/);
  const opening = /^retry: (\d+)\nid: (\S+)\nretry: \d+\n\n/.exec(plain.text)!;
  expect(namesFor({ retry: Number(opening[1]), id: opening[2] })).toEqual(["OpeningFrame"]);
  expect(frames.map(namesFor)).toEqual([["GapFrame"], ["EventFrame"], ["DeletedFrame"]]);
});

/** Whether a frame is of a schema of the document, and its data of theirs, with nothing that they do not name. */
function fits(schema: z.core.JSONSchema.JSONSchema, frame: object): boolean {
  const said = Object.fromEntries(Object.entries(frame).filter(([, value]) => value !== undefined));
  // The one keyword here that zod does not read.
  const isReserved = (name: unknown, { not }: { not?: { enum?: readonly unknown[] } }) =>
    not?.enum?.includes(name) === true;
  const readable = JSON.parse(
    JSON.stringify(schema, (key, value: unknown) => (key === "not" ? undefined : value)),
  ) as typeof schema;
  const { event = {}, data = {} } = schema.properties as Record<string, object>;
  if (isReserved(said["event"], event)) return false;
  if (Object.keys(said).some((name) => !(name in schema.properties!))) return false;
  if (!z.fromJSONSchema(readable).safeParse(said).success) return false;
  const { contentSchema } = data as { contentSchema?: typeof schema };
  if (contentSchema === undefined) return true;
  return z.fromJSONSchema(contentSchema).safeParse(JSON.parse(String(said["data"]))).success;
}
