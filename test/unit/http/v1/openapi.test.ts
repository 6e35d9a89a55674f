/** The OpenAPI document by itself: Redocly's rules, descriptions, examples, and what it says of an instance. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { expect, it } from "vitest";
import { ROUTES } from "../../../../src/app.ts";
import { loadAuthSettings } from "../../../../src/auth/settings.ts";
import { metricsRoute } from "../../../../src/http/metrics.ts";
import { openApiDocument, type Instance } from "../../../../src/http/v1/openapi.ts";

type Json = Readonly<Record<string, unknown>>;

interface Operation {
  readonly security: readonly Json[];
  readonly tags: readonly string[];
  readonly requestBody?: Body;
  readonly responses: Readonly<Record<string, Body>>;
}

interface Body {
  readonly content?: Readonly<Record<string, { readonly schema: Json; readonly example?: string }>>;
}

interface Document {
  readonly servers: readonly Json[];
  readonly tags: readonly { readonly name: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Json>>;
    readonly securitySchemes: Readonly<Record<string, Json>>;
  };
}

function documentOf(instance: Instance = loadAuthSettings({})): Document {
  // With the route that `npm run serve` alone has, and through JSON, as a client gets it.
  return JSON.parse(
    JSON.stringify(openApiDocument([...ROUTES, metricsRoute()], instance)),
  ) as Document;
}

const document = documentOf();
const operations = (of: Document = document) =>
  Object.entries(of.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => [`${method} ${path}`, operation] as const),
  );

it("passes Redocly's recommended rules, and its examples are of their schemas", async () => {
  const rules = { "no-invalid-schema-examples": "error" } as const;
  const config = await createConfig({ extends: ["recommended"], rules });
  const source = JSON.stringify(document);
  const problems = await lintFromString({ source, config, absoluteRef: "openapi.json" });
  expect(problems.map(({ ruleId, location: [at] }) => `${ruleId} ${at?.pointer}`)).toEqual([
    // The guard does not look at this route, so it refuses nobody.
    "operation-4xx-response #/paths/~1healthz/get/responses",
    "operation-4xx-response #/paths/~1readyz/get/responses",
  ]);
});

/** Members whose values must each have a description; those of the second list are things themselves. */
const DESCRIBED = ["parameters", "tags", "headers", "responses", "properties", "schemas"];
const METHODS = ["get", "post", "put", "patch", "delete"];
const NOT_LOOKED_AT = ["example", "examples", "security"];

function undescribed(value: unknown, at: string, mustDescribe: boolean): string[] {
  if (typeof value !== "object" || value === null) return [];
  const isMissing = mustDescribe && !("description" in value) && !("$ref" in value);
  const within = Object.entries(value)
    .filter(([name]) => !NOT_LOOKED_AT.includes(name))
    .flatMap(([name, part]: [string, unknown]) =>
      DESCRIBED.includes(name) && !at.endsWith("/properties")
        ? Object.entries(part as Json).flatMap(([key, item]) =>
            undescribed(item, `${at}/${name}/${key}`, typeof item === "object"),
          )
        : undescribed(part, `${at}/${name}`, METHODS.includes(name)),
    );
  return isMissing ? [at, ...within] : within;
}

it("describes every operation, parameter, header, answer, schema and property", () => {
  expect(undescribed(document, "", false)).toEqual([]);
});

it("has an example of every body", () => {
  const exampleOf = (schema: Json): unknown => {
    const name = /[^/]+$/.exec(String(schema["$ref"]))?.[0] ?? "";
    return schema["examples"] ?? document.components.schemas[name]?.["examples"];
  };
  const without = operations().flatMap(([name, { requestBody = {}, responses }]) =>
    Object.entries({ ...responses, body: requestBody }).flatMap(([status, { content = {} }]) =>
      Object.entries(content)
        .filter(([, { schema, example }]) => (example ?? exampleOf(schema)) === undefined)
        .map(([type]) => `${name} ${status} ${type}`),
    ),
  );
  expect(without).toEqual([]);
});

it("puts each operation under one of its tags", () => {
  const tags = document.tags.map(({ name }) => name);
  expect(tags).toEqual(["sessions", "events", "directory", "service"]);
  const used = operations().map(
    ([
      ,
      {
        tags: [tag, ...more],
      },
    ]) => [tag, more.length],
  );
  expect(new Set(used.map(([tag]) => tag))).toEqual(new Set(tags));
  expect(used.every(([, more]) => more === 0)).toBe(true);
});

it.each([
  ["AUTH is not set", {}, true],
  ["AUTH is none", { AUTH: "none" }, true],
  ["the app says who calls", undefined, true],
  [
    "AUTH is token",
    {
      AUTH: "token",
      API_TOKENS: JSON.stringify([{ sha256: "0".repeat(64), subject: "a", scopes: [] }]),
    },
    false,
  ],
  [
    "AUTH is jwt",
    {
      AUTH: "jwt",
      JWT_ISSUER: "https://login.example",
      JWT_AUDIENCE: "holdfast",
      JWKS_URL: "https://login.example/keys",
    },
    false,
  ],
])("where %s, a credential is optional: %#", (_when, variables, isOptional) => {
  const own = { ownAuthentication: variables === undefined };
  const instance = loadAuthSettings(variables ?? {}, own);
  const found = documentOf(instance);
  const none = isOptional ? [{}] : [];
  for (const [name, { security }] of operations(found)) {
    const isPublic = /\/(healthz|readyz|openapi\.json|\.well-known\/.*)$/.test(name);
    const [bearer, ...rest] = security;
    expect([name, Object.keys(bearer ?? {})]).toEqual([name, isPublic ? [] : ["bearer"]]);
    const ticket = name === "get /v1/sessions/{id}/events" ? [{ ticket: [] }] : [];
    expect([name, rest]).toEqual([name, isPublic ? [] : [...ticket, ...none]]);
  }
  const { bearer } = found.components.securitySchemes;
  expect(String(bearer?.["description"]).startsWith("Not needed")).toBe(
    isOptional && variables !== undefined,
  );
});

it("names the server where it is known, and the base path", () => {
  const known = loadAuthSettings({ PUBLIC_URL: "https://live.example" }, { basePath: "/live" });
  const url = (instance: Instance) => documentOf(instance).servers.map((server) => server["url"]);
  expect(url(known)).toEqual(["https://live.example/live"]);
  expect(url(loadAuthSettings({}))).toEqual(["/"]);
  // A well-known address is not below the base path.
  const path = "/.well-known/oauth-protected-resource/live";
  expect(documentOf(known).paths).toHaveProperty(
    [path, "servers", 0, "url"],
    "https://live.example",
  );
  const relative = documentOf(loadAuthSettings({}, { basePath: "/live" }));
  expect(relative.paths).toHaveProperty([path, "servers", 0, "url"], "/");
  expect(documentOf().paths).not.toHaveProperty([
    "/.well-known/oauth-protected-resource",
    "servers",
  ]);
});
