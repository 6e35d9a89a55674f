/** Makes the OpenAPI 3.1 document from the descriptions and schemas of the routes. */
import type * as z from "zod";
import { ERROR_KINDS, type ErrorCode } from "../../core/errors.ts";
import type { AuthSettings } from "../../auth/settings.ts";
import { PROBLEM_MEDIA_TYPE } from "../problem.ts";
import {
  describeBodyLimit,
  PUBLIC,
  takesTicket,
  UNGUARDED,
  type Answer,
  type RouteDescription,
  type Tag,
} from "../route.ts";
import {
  deletedFrame,
  endedFrame,
  eventFrame,
  expiredFrame,
  gapFrame,
  openingFrame,
  STREAM_EXAMPLE,
  streamFrame,
} from "./frames.ts";
import { jsonSchema } from "./json-value.ts";
import {
  EXAMPLE_ID,
  eventPage,
  gap,
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
  [streamFrame, "StreamFrame"],
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

A session is a small named thing with an id, metadata, a lifetime and a stream of events. Readers follow the stream over Server-Sent Events, and resume after the last event that they saw. Errors are problems (RFC 9457) with a stable \`code\`.

Numbers in JSON are IEEE 754 doubles (RFC 8259, section 6): beyond 2^53 not every integer is one, so larger ids belong in strings. A number beyond all doubles is refused with 400.`;

const TAGS: Readonly<Record<Tag, string>> = {
  sessions: "Make, read, change and end one session",
  events: "Publish to a session's stream, follow it, end it",
  directory: "List, count and end many sessions",
  service: "The service itself, and how to get in",
};

const TEXT = { type: "string" };

/** Statuses whose answers have `Retry-After`. */
const PASSING: ReadonlySet<number> = new Set([429, 503]);
const RETRY_AFTER = {
  "Retry-After": { description: "Seconds to wait, where they are known", schema: TEXT },
};

/** The facts about one instance of the service that its document states. */
export type Instance = Pick<AuthSettings, "basePath" | "publicOrigin" | "method">;

export function openApiDocument(routes: readonly RouteDescription[], instance: Instance): object {
  const { basePath, publicOrigin = "", method } = instance;
  const isOpen = method.kind !== "token" && method.kind !== "jwt";
  const paths: Record<string, Record<string, object>> = {};
  for (const route of routes) {
    const path = route.path.replace(/:(\w+)/g, "{$1}");
    // A well-known address is at the origin's root, with the base path after it (RFC 9728, 3.1).
    const isAtRoot = basePath !== "" && path.startsWith("/.well-known/");
    const servers = [{ url: publicOrigin || "/", description: "The origin's root" }];
    const item = (paths[isAtRoot ? path + basePath : path] ??= isAtRoot ? { servers } : {});
    item[route.method] = operation(route, isOpen);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Holdfast",
      version: "1",
      description: ABOUT,
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    servers: [{ url: publicOrigin + basePath || "/", description: "This service" }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: {
        bearer: { type: "http", scheme: "bearer", description: CREDENTIALS[method.kind] },
        ticket: {
          type: "apiKey",
          in: "query",
          name: "ticket",
          description: "A ticket of this session's, in place of the Authorization header",
        },
      },
      schemas: Object.fromEntries(
        [...COMPONENTS].map(([schema, name]) => [name, withReferences(schema)]),
      ),
    },
  };
}

/** The form of a caller's credential, by the method of authentication. */
const CREDENTIALS: Readonly<Record<Instance["method"]["kind"], string>> = {
  unset: "Not needed: AUTH is not set, so the service answers its own machine alone",
  none: "Not needed: AUTH is none, so anybody may call",
  own: "The app that the service is a part of says who calls, maybe by a cookie",
  token: "An API token with the scope that the operation names",
  jwt: "A JWT of the service's issuer, with the scope that the operation names",
};

function operation(route: RouteDescription, isOpen: boolean): object {
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
    tags: [route.tag],
    summary: route.summary,
    description: isStrict(route) ? `${route.description} ${STRICT_QUERY}` : route.description,
    security: security(route, isOpen),
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

/** An empty requirement at the end says that a request without a credential may be served too. */
function security(route: RouteDescription, isOpen: boolean): object[] {
  if (route.scope === PUBLIC || route.scope === UNGUARDED) return [];
  return [
    { bearer: [route.scope] },
    ...(takesTicket(route) ? [{ ticket: [] }] : []),
    ...(isOpen ? [{}] : []),
  ];
}

function isStrict(route: RouteDescription): boolean {
  return queryOf(route).additionalProperties === false;
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
      description: "The id of the session",
      schema: { ...TEXT, format: "uuid" },
      example: EXAMPLE_ID,
    })),
    ...Object.entries(properties).map(([name, property]) => {
      const { description, ...schema } = property as z.core.JSONSchema.BaseSchema;
      const isRequired = required.includes(name) && { required: true };
      return { name, in: "query", ...isRequired, description, schema };
    }),
    ...Object.entries(route.requestHeaders ?? {}).map(([name, header]) => ({
      name,
      in: "header",
      ...(typeof header === "string" ? { description: header, schema: TEXT } : header),
    })),
  ];
}

function response({ description, schema, text, frames, headers = {} }: Answer): object {
  const content = {
    ...(text && { [text.mediaType]: { schema: TEXT, example: text.example } }),
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

/**
 * OpenAPI 3.1 sees a stream as one text: JSON Schema says what is in it by `contentSchema`, and the
 * extension is what OpenAPI 3.2 calls `itemSchema`.
 */
function stream(frames: readonly z.ZodType[]): object {
  return {
    schema: {
      ...TEXT,
      contentMediaType: "text/event-stream",
      contentSchema: { type: "array", items: reference(streamFrame) },
    },
    example: STREAM_EXAMPLE,
    "x-itemSchema": { anyOf: frames.map(reference) },
  };
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
