/**
 * A route: what it is called, whom it lets in, what it takes, what it answers, and the
 * handler that does it. The guard, the readers of the request, the validation and the
 * OpenAPI document are all made from this one description, so they cannot disagree.
 */
import type { Context, HonoRequest } from "hono";
import type * as z from "zod";
import type { Access } from "../auth/access.ts";
import type { Scope } from "../auth/identity.ts";
import type { Config } from "../config/service.ts";
import type { Caller } from "../core/caller.ts";
import { type ErrorCode, SessionError } from "../core/errors.ts";
import type { SessionHost } from "../core/host.ts";
import type { Logger } from "../logger.ts";

type Method = "get" | "post" | "put" | "patch" | "delete";

/** The scope of a route that needs no credential. */
export const PUBLIC = "public";

/** The scope of a route that is served whatever the request looks like: for load balancers. */
export const UNGUARDED = "unguarded";

export type RouteScope = Scope | typeof PUBLIC | typeof UNGUARDED;

export interface Answer {
  readonly description: string;
  readonly schema?: z.ZodType;
  /** Media type of the body; application/json where there is a schema. */
  readonly mediaType?: string;
  /** Names of response headers, with what they say. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface RouteDescription {
  readonly method: Method;
  /** In Hono's form: `/v1/sessions/:id`. */
  readonly path: string;
  /** Whether the route also serves every path that begins with its own and a slash. */
  readonly pathsBelow?: true;
  readonly operationId: string;
  readonly summary: string;
  /** What a caller must be allowed; the guard and the document read it. */
  readonly scope: RouteScope;
  /** A query with a parameter `ticket` lets a ticket in, in place of the Authorization header. */
  readonly query?: z.ZodObject;
  /** Request headers that mean something here. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  /** A request without a body is one whose body is `{}`. Otherwise it is refused: it may have been lost. */
  readonly bodyOptional?: true;
  /** Successful answers by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Errors that its handler can answer, besides those that follow from the rest and `unavailable`. */
  readonly errors: readonly ErrorCode[];
}

/** One request, as the handler of its route sees it: let in, read and validated. */
export interface Call<Query, Body> {
  readonly c: Context;
  readonly caller: Caller;
  readonly query: Query;
  readonly body: Body;
}

/** The parts of the service that handlers work with. */
export interface Service {
  readonly host: SessionHost;
  readonly config: Config;
  readonly access: Access;
  readonly log: Logger;
  readonly openApi: () => object;
}

type Handle<Query, Body> = (
  call: Call<Query, Body>,
  service: Service,
) => Response | Promise<Response>;

export interface Route extends RouteDescription {
  /** Its schemas made what it is called with; `never` because a list of routes does not know them. */
  readonly handle: Handle<never, never>;
}

/** Gives a handler the types that its description's schemas make. */
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

/** Fields whose refusal has a code of its own in the contract. */
const FIELD_CODES: Readonly<Record<string, ErrorCode>> = {
  id: "invalid_session_id",
  type: "invalid_session_type",
};

/** The validated value. Throws a SessionError that names the first field that is wrong. */
export function validate<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  refuseProtoKey(value, "metadata");
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = firstOf(result.error.issues);
  const field = fieldName(issue.path);
  const code = (issue.path.length === 1 && FIELD_CODES[field]) || "invalid_request";
  throw new SessionError(code, field ? `${field}: ${issue.message}` : issue.message);
}

/**
 * In a union, the branch that got furthest into the value is the one that was meant.
 * Of two that got as far, it is the one that took the value for what it is.
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

/** zod drops a record's `__proto__` key without a word; what is not stored must be refused instead. */
function refuseProtoKey(value: unknown, field: string): void {
  if (typeof value !== "object" || value === null) return;
  const record: unknown = (value as Record<string, unknown>)[field];
  if (typeof record === "object" && record !== null && Object.hasOwn(record, "__proto__")) {
    throw new SessionError("invalid_request", `${field}.__proto__: this key is not allowed`);
  }
}

/** Reads and validates the query. Most requests have none, so what is made of that is made once. */
export function queryReader(schema: z.ZodObject): (request: HonoRequest) => unknown {
  let ofNone: object | undefined;
  return (request) => {
    if (request.url.includes("?")) return validate(schema, parametersOf(request));
    return (ofNone ??= Object.freeze(validate(schema, {})));
  };
}

/** The query's parameters: text, or an array of it where one is given more than once. */
function parametersOf(request: HonoRequest): unknown {
  const one = ([name, values]: [string, string[]]) => [
    name,
    values.length > 1 ? values : values[0],
  ];
  return Object.fromEntries(Object.entries(request.queries()).map(one));
}
