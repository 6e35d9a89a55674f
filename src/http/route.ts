/**
 * A route: its description with its handler. The guard, the readers of the request, the
 * validation and the OpenAPI document all use this one description, so they cannot disagree.
 */
import type { Context, HonoRequest } from "hono";
import type * as z from "zod";
import type { Access } from "../auth/access.ts";
import type { Scope } from "../auth/identity.ts";
import type { Config } from "../config/service.ts";
import type { Caller } from "../core/caller.ts";
import { tooManyKeys } from "../core/content.ts";
import { type ErrorCode, SessionError } from "../core/errors.ts";
import type { SessionHost } from "../core/host.ts";
import {
  MAX_DETAIL_LENGTH,
  MAX_JSON_DEPTH,
  MAX_JSON_VALUES,
  MAX_METADATA_KEYS,
  MAX_SMALL_BODY_BYTES,
} from "../core/limits.ts";
import type { Logger } from "../logger.ts";
import { isObject } from "../wire/json.ts";
import { shorten } from "../wire/shorten.ts";
import type { BodyLimit } from "./body.ts";
import type { Readiness } from "./readiness.ts";

type Method = "get" | "post" | "put" | "patch" | "delete";

/** The scope of a route without a credential. */
export const PUBLIC = "public";

/** The scope of a route that the guard does not check at all: for load balancers. */
export const UNGUARDED = "unguarded";

export type RouteScope = Scope | typeof PUBLIC | typeof UNGUARDED;

/** The groups in which the OpenAPI document shows the routes. */
export type Tag = "sessions" | "events" | "directory" | "service";

export interface Answer {
  readonly description: string;
  /** Schema of a body of application/json. */
  readonly schema?: z.ZodType;
  /** A body that is text. */
  readonly text?: { readonly mediaType: string; readonly example: string };
  /** Schemas of the frames of a body of text/event-stream. A client that may have either asks by Accept. */
  readonly frames?: readonly z.ZodType[];
  /** Response headers: their names, with descriptions. */
  readonly headers?: Readonly<Record<string, string>>;
}

interface RequestHeader {
  readonly description: string;
  readonly schema: z.core.JSONSchema.BaseSchema;
}

export interface BodyUse {
  /** Its name in errors, such as "what a session may hold". */
  readonly name: string;
  /** The bound in words: a number, or how it follows from others. */
  readonly described: string;
  readonly bytes: (config: Config) => number;
}

const SMALL: BodyUse = {
  name: "what this route needs",
  described: `${MAX_SMALL_BODY_BYTES} bytes`,
  bytes: () => MAX_SMALL_BODY_BYTES,
};

/** The bounds of a route's body in words, which hold under every configuration. */
export function describeBodyLimit({ bodyUse = SMALL }: RouteDescription): string {
  const shape = `${MAX_JSON_DEPTH} levels and ${MAX_JSON_VALUES} values`;
  return `At most ${bodyUse.described}, at most BODY_MAX_BYTES, and at most ${shape}.`;
}

/** The limit of a route's body: its use, or the operator's. */
export function bodyLimitOf({ bodyUse = SMALL }: RouteDescription, config: Config): BodyLimit {
  const bytes = bodyUse.bytes(config);
  const { bodyMaxBytes } = config;
  if (bodyMaxBytes <= bytes) return { maxBytes: bodyMaxBytes, name: "BODY_MAX_BYTES" };
  return { maxBytes: bytes, name: `${bodyUse.name}, in bytes of JSON` };
}

export interface RouteDescription {
  readonly method: Method;
  /** In Hono's syntax: `/v1/sessions/:id`. */
  readonly path: string;
  /** The route also serves every path that begins with its own and a slash. */
  readonly pathsBelow?: true;
  readonly operationId: string;
  readonly tag: Tag;
  readonly summary: string;
  /** A sentence or two on what the summary leaves open. */
  readonly description: string;
  /** The scope that a caller needs. */
  readonly scope: RouteScope;
  /** A query with a parameter `ticket` accepts a ticket in place of the Authorization header. */
  readonly query?: z.ZodObject;
  /** Request headers that the handler reads: their descriptions, with JSON Schemas where any text will not do. */
  readonly requestHeaders?: Readonly<Record<string, string | RequestHeader>>;
  readonly body?: z.ZodType;
  /** The bytes of a body that the route has a use for, which `BODY_MAX_BYTES` bounds too. Default: a small body. */
  readonly bodyUse?: BodyUse;
  /** A missing body counts as `{}`. Other routes refuse it: the client may have lost it. */
  readonly bodyOptional?: true;
  /** Successful answers by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Errors of the handler. The document adds those that follow from the rest, and `unavailable`. */
  readonly errors: readonly ErrorCode[];
}

/** One request as a handler sees it, after the guard and the validation. */
export interface Call<Query, Body> {
  readonly c: Context;
  readonly caller: Caller;
  readonly query: Query;
  /** A handler that takes the body must not `await`: the body would stay in memory meanwhile. */
  readonly body: Body;
}

/** The parts of the service that handlers use. */
export interface Service {
  readonly host: SessionHost;
  readonly config: Config;
  readonly access: Access;
  readonly log: Logger;
  readonly openApi: () => object;
  readonly readiness: Readiness;
}

type Handle<Query, Body> = (
  call: Call<Query, Body>,
  service: Service,
) => Response | Promise<Response>;

export interface Route extends RouteDescription {
  /** `never`, because a list of routes does not know the schemas of each. */
  readonly handle: Handle<never, never>;
}

/**
 * Gives a handler the types of its description's schemas.
 *
 *     export const ping = route({
 *       method: "get",
 *       path: "/v1/ping",
 *       operationId: "ping",
 *       tag: "service",
 *       summary: "Answers",
 *       description: "With the text that came.",
 *       scope: "sessions:read",
 *       query: z.object({ text: z.string() }),
 *       answers: { 200: { description: "The text" } },
 *       errors: [],
 *       handle: ({ c, query }) => c.json(query.text),
 *     });
 */
export function route<
  Query extends z.ZodObject = z.ZodObject<Record<never, never>>,
  Body extends z.ZodType = z.ZodUndefined,
>(
  described: RouteDescription & {
    readonly query?: Query;
    readonly body?: Body;
    readonly handle: Handle<z.output<Query>, z.output<Body>>;
  },
): Route {
  return described;
}

export function takesTicket({ query }: RouteDescription): boolean {
  return query !== undefined && "ticket" in query.shape;
}

/** Characters of a field's name, and of what is wrong with it: with a colon between them they fit a detail. */
const MAX_QUOTED = MAX_DETAIL_LENGTH / 2 - 1;

/** Fields with an error code of their own in the contract. */
const FIELD_CODES: Readonly<Record<string, ErrorCode>> = {
  id: "invalid_session_id",
  type: "invalid_session_type",
};

/** Validates a value. Throws a SessionError that names the first wrong field. */
export function validate<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  refuseProtoKey(value, "metadata");
  refuseManyKeys(value);
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = firstOf(result.error.issues);
  const field = fieldName(issue.path);
  const code = (issue.path.length === 1 && FIELD_CODES[field]) || "invalid_request";
  // Both may quote long keys; `problemResponse` cuts the whole once more.
  const message = shorten(issue.message, MAX_QUOTED);
  throw new SessionError(code, field ? `${shorten(field, MAX_QUOTED)}: ${message}` : message);
}

/**
 * For a union, reports the branch that got furthest into the value: the sender most likely meant
 * that one. If two got equally far, it reports the one that accepted the value's type.
 */
function firstOf(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const [issue] = issues;
  if (!issue) throw new TypeError("a failed validation has an issue");
  if (issue.code !== "invalid_union") return issue;
  const branches = issue.errors.flat();
  const deepest = branches.toSorted(
    (a, b) =>
      b.path.length - a.path.length ||
      Number(a.code === "invalid_type") - Number(b.code === "invalid_type"),
  )[0];
  if (!deepest) return issue;
  return { ...firstOf([deepest]), path: [...issue.path, ...deepest.path] };
}

function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : String(key)))
    .join(".")
    .replaceAll(".[", "[");
}

/** zod drops a record's `__proto__` key silently. The service must not accept what it does not store. */
function refuseProtoKey(value: unknown, field: string): void {
  if (typeof value !== "object" || value === null) return;
  const record: unknown = (value as Record<string, unknown>)[field];
  if (typeof record === "object" && record !== null && Object.hasOwn(record, "__proto__")) {
    throw new SessionError("invalid_request", `${field}.__proto__: this key is not allowed`);
  }
}

/** A patch may remove as many keys as there can be, and add as many. */
const MAX_PATCHED_KEYS = 2 * MAX_METADATA_KEYS;

/** Counts before the schema looks at each: 98,000 keys of 1.2 MB took half a second of everybody's time. */
function refuseManyKeys(value: unknown): void {
  const metadata = isObject(value) ? value["metadata"] : undefined;
  if (!isObject(metadata)) return;
  const keys = Object.keys(metadata).length;
  if (keys > MAX_PATCHED_KEYS) throw new SessionError("invalid_request", tooManyKeys(keys));
}

/** Makes a reader that validates the query. Most queries are empty, so it keeps the result for that. */
export function queryReader(schema: z.ZodObject): (request: HonoRequest) => unknown {
  let ofNone: object | undefined;
  return (request) => {
    if (request.url.includes("?")) return validate(schema, parametersOf(request));
    return (ofNone ??= Object.freeze(validate(schema, {})));
  };
}

/** A parameter is text, or an array of text if the query repeats it. */
function parametersOf(request: HonoRequest): unknown {
  const one = ([name, values]: [string, string[]]) => [
    name,
    values.length > 1 ? values : values[0],
  ];
  return Object.fromEntries(Object.entries(request.queries()).map(one));
}
