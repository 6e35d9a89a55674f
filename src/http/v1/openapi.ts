/** Makes the OpenAPI 3.1 document from the descriptions and schemas of the routes. */
import * as z from "zod";
import { ERROR_KINDS, type ErrorCode } from "../../core/errors.ts";
import { PROBLEM_MEDIA_TYPE } from "../problem.ts";
import {
  describeBodyLimit,
  PUBLIC,
  route,
  takesTicket,
  UNGUARDED,
  type Answer,
  type RouteDescription,
} from "../route.ts";
import {
  deletedFrame,
  endedFrame,
  eventFrame,
  expiredFrame,
  gapFrame,
  openingFrame,
} from "./frames.ts";
import {
  eventPage,
  gap,
  jsonSchema,
  newEvent,
  newSession,
  problem,
  session,
  sessionEntry,
  sessionPatch,
} from "./schemas.ts";

/** Names of the schemas under `components`. */
const COMPONENTS: ReadonlyMap<z.core.$ZodType, string> = new Map<z.core.$ZodType, string>([
  [session, "Session"],
  [sessionEntry, "SessionEntry"],
  [newSession, "NewSession"],
  [sessionPatch, "SessionPatch"],
  [newEvent, "NewEvent"],
  [eventPage, "EventPage"],
  [gap, "Gap"],
  [problem, "Problem"],
  [openingFrame, "OpeningFrame"],
  [eventFrame, "EventFrame"],
  [gapFrame, "GapFrame"],
  [endedFrame, "EndedFrame"],
  [expiredFrame, "ExpiredFrame"],
  [deletedFrame, "DeletedFrame"],
]);

/** Errors of the reader of a body. */
const BODY_ERRORS = ["invalid_request", "payload_too_large", "unsupported_media_type"] as const;

/** Errors of the guard. */
const GUARD_ERRORS: readonly ErrorCode[] = [
  "unauthorized",
  "forbidden",
  "uri_too_long",
  "rate_limited",
  "headers_too_large",
];

/** Says that a route refuses other query parameters: OpenAPI has no field for it. */
const STRICT_QUERY = "A query parameter that is not named here is refused with 400.";

const ABOUT = `Sessions at the edge, with resumable event streams.

Numbers in JSON are IEEE 754 doubles (RFC 8259, section 6): beyond 2^53 not every integer is one, so larger ids belong in strings. A number beyond all doubles is refused with 400.`;

const TEXT = { type: "string" };

/** Statuses whose answers have `Retry-After`. */
const PASSING: ReadonlySet<number> = new Set([429, 503]);
const RETRY_AFTER = {
  "Retry-After": { description: "Seconds to wait, where they are known", schema: TEXT },
};

/** `basePath` is where the routes begin; empty: at the root. */
export function openApiDocument(routes: readonly RouteDescription[], basePath: string): object {
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    (paths[path] ??= {})[route.method] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Holdfast",
      version: "1",
      description: ABOUT,
    },
    servers: [{ url: basePath || "/" }],
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer" },
        ticket: { type: "apiKey", in: "query", name: "ticket" },
      },
      schemas: Object.fromEntries(
        [...COMPONENTS].map(([schema, name]) => [name, withReferences(schema)]),
      ),
    },
  };
}

function operation(route: RouteDescription): object {
  const errors: readonly ErrorCode[] = [
    ...(route.body ? BODY_ERRORS : []),
    ...(route.query ? (["invalid_request"] as const) : []),
    ...(route.path.includes("/:id") ? (["invalid_session_id"] as const) : []),
    ...route.errors,
    ...(route.scope === UNGUARDED ? [] : GUARD_ERRORS),
    "unavailable",
  ];
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(queryOf(route).additionalProperties === false && { description: STRICT_QUERY }),
    security: security(route),
    parameters: parameters(route),
    ...(route.body && {
      requestBody: {
        description: describeBodyLimit(route),
        required: route.bodyOptional !== true,
        content: { "application/json": { schema: reference(route.body) } },
      },
    }),
    responses: {
      ...Object.fromEntries(
        Object.entries(route.answers).map(([status, answer]) => [status, response(answer)]),
      ),
      ...errorResponses(errors),
    },
  };
}

function security(route: RouteDescription): object[] {
  if (route.scope === PUBLIC || route.scope === UNGUARDED) return [];
  return [{ bearer: [route.scope] }, ...(takesTicket(route) ? [{ ticket: [] }] : [])];
}

function queryOf({ query }: RouteDescription): z.core.JSONSchema.BaseSchema {
  return query ? jsonSchema(query) : {};
}

function parameters(route: RouteDescription): object[] {
  const { properties = {}, required = [] } = queryOf(route);
  return [
    ...[...route.path.matchAll(/:(\w+)/g)].map(([, name]) => ({
      name,
      in: "path",
      required: true,
      schema: TEXT,
    })),
    ...Object.entries(properties).map(([name, schema]) => ({
      name,
      in: "query",
      ...(required.includes(name) && { required: true }),
      schema,
    })),
    ...Object.entries(route.requestHeaders ?? {}).map(([name, header]) => ({
      name,
      in: "header",
      ...(typeof header === "string" ? { description: header, schema: TEXT } : header),
    })),
  ];
}

function response({ description, schema, frames, headers = {} }: Answer): object {
  const content = {
    ...(schema && { "application/json": { schema: reference(schema) } }),
    ...(frames && { "text/event-stream": stream(frames) }),
  };
  const described = Object.entries(headers).map(([name, text]) => [
    name,
    { description: text, schema: TEXT },
  ]);
  return {
    description,
    ...(described.length > 0 && { headers: Object.fromEntries(described) }),
    ...(Object.keys(content).length > 0 && { content }),
  };
}

/** OpenAPI 3.1 sees a stream as one text. The extension is what 3.2 calls `itemSchema`. */
function stream(frames: readonly z.ZodType[]): object {
  return { schema: TEXT, "x-itemSchema": { anyOf: frames.map(reference) } };
}

/** Makes one response for each status, which lists the codes of that status. */
function errorResponses(codes: readonly ErrorCode[]): object {
  const byStatus = Object.groupBy(new Set(codes), (code) => ERROR_KINDS[code].status);
  const content = { [PROBLEM_MEDIA_TYPE]: { schema: reference(problem) } };
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, list]) => [
      status,
      {
        description: list?.join(", "),
        ...(PASSING.has(Number(status)) && { headers: RETRY_AFTER }),
        content,
      },
    ]),
  );
}

function reference(schema: z.ZodType): object {
  return referenceTo(schema) ?? withReferences(schema);
}

function referenceTo(schema: z.core.$ZodType): { readonly $ref: string } | undefined {
  const name = COMPONENTS.get(schema);
  return name === undefined ? undefined : { $ref: `#/components/schemas/${name}` };
}

/** A schema in which the components within it are references. */
function withReferences(schema: z.core.$ZodType): object {
  return jsonSchema(schema, (part) => (part === schema ? undefined : referenceTo(part)));
}

/** The routes about the service itself. */
export const serviceRoutes = [
  route({
    method: "get",
    path: "/healthz",
    operationId: "health",
    summary: "Whether the service answers; touches no session",
    scope: UNGUARDED,
    answers: { 200: { description: "It does", schema: z.object({ status: z.literal("ok") }) } },
    errors: [],
    handle: ({ c }) => c.json({ status: "ok" }),
  }),
  route({
    method: "get",
    path: "/openapi.json",
    operationId: "openapi",
    summary: "This document",
    scope: PUBLIC,
    answers: { 200: { description: "OpenAPI 3.1", schema: z.object({ openapi: z.string() }) } },
    errors: [],
    handle: ({ c }, { openApi }) => c.json(openApi()),
  }),
];
