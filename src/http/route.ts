/**
 * A route: what it is called, what it takes, what it answers. The same
 * description registers the handler, validates the request and writes the
 * OpenAPI document, so they cannot disagree.
 */
import type { Context, Env, Handler, Hono, HonoRequest } from "hono";
import { validator } from "hono/validator";
import type * as z from "zod";
import type { Scope } from "../auth/identity.ts";
import { type ErrorCode, SessionError } from "../core/errors.ts";

/** Validation with zod, whose issues become one SessionError that names the field. */
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

type Method = "get" | "post" | "put" | "patch" | "delete";

/** The scope of a route that needs no credential. */
export const PUBLIC = "public";

/** The scope of a route that is served whatever the request looks like: for load balancers. */
export const UNGUARDED = "unguarded";

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
  readonly operationId: string;
  readonly summary: string;
  /** What a caller must be allowed; the guard and the document read it. */
  readonly scope: Scope | typeof PUBLIC | typeof UNGUARDED;
  readonly query?: z.ZodObject;
  /** Request headers that mean something here. */
  readonly requestHeaders?: Readonly<Record<string, string>>;
  readonly body?: z.ZodType;
  /** A request without a body is one whose body is `{}`. Otherwise it is refused: it may have been lost. */
  readonly bodyOptional?: true;
  /** Successful answers by status. */
  readonly answers: Readonly<Record<number, Answer>>;
  /** Errors that this route can answer, besides those that any route can. */
  readonly errors: readonly ErrorCode[];
}

/** What the handler of a route reads: its validated parts. */
export interface RouteInput<R extends RouteDescription> {
  readonly query: R["query"] extends z.ZodType ? z.output<R["query"]> : undefined;
  readonly body: R["body"] extends z.ZodType ? z.output<R["body"]> : undefined;
}

/** Registers a route's handler behind the validation that its description asks for. */
export function mount<E extends Env, R extends RouteDescription>(
  app: Hono<E>,
  route: R,
  handler: (c: Context<E>, input: RouteInput<R>) => Response | Promise<Response>,
): void {
  const { body } = route;
  const queryOf = route.query && queryReader(route.query);
  const validators = body ? [validator("json", (value) => validate(body, value))] : [];
  const run: Handler<E> = (c) => {
    // What the description's schemas have made of the request.
    const input = {
      query: queryOf?.(c.req),
      body: body && (c.req.valid("json" as never) as unknown),
    } as RouteInput<R>;
    return handler(c, input);
  };
  app.on(route.method.toUpperCase(), [route.path], ...(validators as Handler<E>[]), run);
}

/** Reads and validates the query. Most requests have none, so what is made of that is made once. */
function queryReader(schema: z.ZodObject): (request: HonoRequest) => unknown {
  let ofNone: object | undefined;
  return (request) => {
    if (request.url.includes("?")) return validate(schema, parametersOf(request));
    return (ofNone ??= Object.freeze(validate(schema, {})));
  };
}

/** The query's parameters: text, or an array of it where one is given more than once. */
function parametersOf(request: HonoRequest): Record<string, string | string[]> {
  const all = Object.entries(request.queries());
  return Object.fromEntries(
    all.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? "") : values]),
  );
}
