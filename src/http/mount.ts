/**
 * Mounts every handler of the app behind the guard, with a scope. The linter refuses mounting in
 * any other file (`holdfast/no-mount`), so the service has no unguarded handler.
 */
import { Hono, type Context } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { UnsupportedPathError, type Result, type Router } from "hono/router";
import { getPath } from "hono/utils/url";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { TrieRouter } from "hono/router/trie-router";
import { callerOf, type Identity } from "../auth/identity.ts";
import type { Access } from "../auth/access.ts";
import type { Caller } from "../core/caller.ts";
import type { Logger } from "../logger.ts";
import { readJson } from "./body.ts";
import { bodies } from "./held-bytes.ts";
import { corsFor } from "./cors.ts";
import {
  createGuard,
  failureAnswer,
  finish,
  type Guard,
  type Guarded,
  type Step,
} from "./guard.ts";
import {
  describesItself,
  GATEWAY_PATHS,
  GATEWAY_SCOPE,
  isGatewayPath,
  RESOURCE_METADATA_PATH,
} from "./oauth-metadata.ts";
import { whileTheDiskHasRoom } from "./disk-room.ts";
import { whileThereIsRoom, type OpenFiles } from "./open-files.ts";
import { answerPage, PAGES, type PageFiles } from "./pages.ts";
import { problemResponse } from "./problem.ts";
import {
  routeSignals,
  servedBy,
  type RequestSignals,
  type RouteSignals,
} from "./request-signals.ts";
import {
  bodyLimitOf,
  PUBLIC,
  queryReader,
  takesTicket,
  validate,
  type Route,
  type Service,
} from "./route.ts";

/** The machine under the front. On Cloudflare neither open files nor the disk run out, and both are absent. */
export interface Machine {
  /** Lets work go on after the client of the request that began it has left. Absent: it may be cut off. */
  readonly waitUntil?: ((work: Promise<unknown>) => void) | undefined;
  readonly openFiles?: OpenFiles | undefined;
  readonly isDiskFull?: (() => Promise<boolean>) | undefined;
  /** Routes that only this machine has. */
  readonly routes?: readonly Route[];
  /** Absent: there are no pages. */
  readonly pages?: PageFiles | undefined;
}

/** An app, and the way to its handlers: each request passes `pass`, and then the guard by its route's rule. */
export interface Front {
  readonly app: Hono;
  readonly guard: Guard;
  readonly pass: Step;
}

/** Makes an app without handlers. It answers every failure, so no answer holds a stack or is a 500. */
export function openFront(
  access: Access,
  log: Logger,
  signals: RequestSignals,
  machine: Machine = {},
): Front {
  const { allowedOrigins, basePath } = access.settings;
  const app = new Hono({ router: new FastRouter(), ...(basePath && { getPath: below(basePath) }) });
  const failed = failureAnswer(log);
  // For a failure of the steps themselves.
  app.onError((failure, c) => failed(c, failure));
  const steps = [finish(access, signals)];
  if (allowedOrigins.size > 0) steps.push(corsFor(access.settings));
  // Within the steps that add headers, so that errors have them too.
  steps.push((c, work) => work().catch((failure: unknown) => failed(c, failure)));
  if (machine.openFiles) steps.push(whileThereIsRoom(machine.openFiles));
  if (machine.isDiskFull) steps.push(whileTheDiskHasRoom(machine.isDiskFull));
  return { app, guard: createGuard(access, log), pass: inTurn(steps) };
}

/** With Hono's own middleware each request would make a chain of closures. */
function inTurn(steps: readonly Step[]): Step {
  return steps.reduceRight((inner, step) => (c, work) => step(c, () => inner(c, work)));
}

/** How requests are served: their name in signals, and what the guard has to know. */
interface Rule extends Guarded {
  readonly signals: RouteSignals | ((c: Context) => RouteSignals);
}

/** Makes a handler that the guard lets callers reach, and that every request to it passes `pass` before. */
function behind(
  { guard, pass }: Front,
  { signals, ...guarded }: Rule,
  serve: (c: Context, identity: Identity) => Response | Promise<Response>,
): (c: Context) => Promise<Response> {
  const work = async (c: Context): Promise<Response> => {
    servedBy(c, typeof signals === "function" ? signals(c) : signals);
    const identity = await guard(c, guarded);
    return identity instanceof Response ? identity : serve(c, identity);
  };
  return (c) => pass(c, () => work(c));
}

/**
 * The path of a request within the service. That of metadata has the base path in its middle (RFC 9728,
 * 3.1). A path elsewhere stays as it is, with a beginning that no route has.
 */
function below(basePath: string): (request: Request) => string {
  const metadataBase = RESOURCE_METADATA_PATH + basePath;
  return (request) => {
    const path = getPath(request);
    if (isWithin(basePath, path)) return path.slice(basePath.length) || "/";
    if (!isWithin(metadataBase, path)) return `/elsewhere${path}`;
    return RESOURCE_METADATA_PATH + path.slice(metadataBase.length);
  };
}

function isWithin(base: string, path: string): boolean {
  return path === base || path.startsWith(`${base}/`);
}

/**
 * Mounts routes in their order: of two that match a path, the first one serves it.
 *
 * A body counts as held until the answer is made. Meanwhile it is held once, as what the handler made
 * of it: V8 keeps what a waiting function had in its variables, so no function that takes the parsed
 * body waits.
 */
export function mountRoutes(front: Front, routes: readonly Route[], service: Service): void {
  for (const route of routes) {
    const { method, path, pathsBelow, scope, body: schema, bodyOptional } = route;
    const queryOf = route.query && queryReader(route.query);
    const limit = bodyLimitOf(route, service.config);
    const signals = routeSignals(method, pathsBelow ? `${path}/*` : path);
    const handle = (c: Context, caller: Caller, body?: unknown) => {
      const call = { c, caller, body, query: queryOf?.(c.req) };
      // The route's own schemas made the query and the body, so they have the types of its handler.
      return route.handle(call as typeof call & { body: never; query: never }, service);
    };
    const serve = (c: Context, identity: Identity): Response | Promise<Response> => {
      const caller = callerOf(identity);
      if (!schema) return handle(c, caller);
      const hold = bodies.hold();
      const read = readJson(c.req.raw, limit, hold, bodyOptional);
      const answer = read.then((value) => handle(c, caller, validate(schema, value)));
      return answer.finally(() => hold.release());
    };
    const rule = { signals, scope, takesTicket: takesTicket(route) };
    const paths = [pathsBelow ? `${path}/*` : path];
    front.app.on(method.toUpperCase(), paths, behind(front, rule, serve));
  }
}

/** Mounts the gateway at each of its paths, and one segment below, which names the upstream. */
export function mountGatewayPaths(
  front: Front,
  handlers: Readonly<
    Record<(typeof GATEWAY_PATHS)[number], (c: Context, caller: Caller) => Promise<Response>>
  >,
): void {
  for (const path of GATEWAY_PATHS) {
    // Clients use a path with and without a slash at its end.
    const paths = [path, `${path}/`, `${path}/:upstream`, `${path}/:upstream/`];
    const signals = (c: Context) => routeSignals(c.req.method, path);
    const serve = async (c: Context, identity: Identity): Promise<Response> => {
      const answer = await handlers[path](c, callerOf(identity));
      // A 401 or 403 of this route is an upstream's, which sends its own challenge or none.
      if (answer.status === 401 || answer.status === 403) c.set("admittedToGateway", true);
      return answer;
    };
    front.app.on("ALL", paths, behind(front, { signals, scope: GATEWAY_SCOPE }, serve));
  }
}

/**
 * Mounts the metadata of the upstreams as protected resources. With tokens of its own, the service
 * describes itself there instead.
 */
export function mountUpstreamMetadata(
  front: Front,
  access: Access,
  answer: (c: Context, path: string) => Promise<Response>,
): void {
  if (describesItself(access)) return;
  for (const path of GATEWAY_PATHS) {
    const address = RESOURCE_METADATA_PATH + path;
    const rule: Rule = { signals: routeSignals("GET", address), scope: PUBLIC };
    const serve = behind(front, rule, (c) => answer(c, path));
    front.app.on("GET", [address, `${address}/:upstream`], serve);
  }
}

/** Mounts the pages, which hold no data and need no credential. */
export function mountPages(front: Front, files: PageFiles): void {
  for (const [path, file] of Object.entries(PAGES)) {
    const rule: Rule = { signals: routeSignals("GET", path), scope: PUBLIC };
    front.app.on(
      "GET",
      [path],
      behind(front, rule, (c) => answerPage(c, file, files)),
    );
  }
}

/** Mounts the answers for unknown paths and methods. They need a credential, so a stranger cannot learn the routes. */
export function mountRefusals({ app, guard, pass }: Front): void {
  const otherMethods = methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const allow = { Allow: [...methods, "OPTIONS"].join(", ") };
      if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: allow });
      return problemResponse("method_not_allowed", undefined, allow);
    },
  });
  const refuse = async (c: Context): Promise<Response> => {
    const scope = isGatewayPath(c.req.path) ? GATEWAY_SCOPE : undefined;
    const identity = await guard(c, { scope });
    if (identity instanceof Response) return identity;
    c.res = problemResponse("not_found");
    await otherMethods(c, async () => {});
    return c.res;
  };
  app.notFound((c) => pass(c, () => refuse(c)));
}

/**
 * Finds the handlers of a request. Hono's fast router, one regular expression for all paths,
 * cannot hold a fixed segment beside a parameter (`/count` beside `/:id`). By itself Hono
 * then uses its slow router for every path, which costs a tenth of a read (profiled, November
 * 2026). This router uses the slow one for those paths alone.
 */
export class FastRouter<T> implements Router<T> {
  readonly name = "FastRouter";
  readonly #fast = new RegExpRouter<T>();
  readonly #slow = new TrieRouter<T>();
  /** Paths that the fast router cannot hold. */
  readonly #refused = new Set<string>();

  /** Throws for a path with a parameter after a fixed path in its place. */
  add(method: string, path: string, handler: T): void {
    this.#slow.add(method, path, handler);
    try {
      this.#fast.add(method, path, handler);
    } catch (failure) {
      const fixed = !path.includes(":") && !path.includes("*");
      if (!fixed || !(failure instanceof UnsupportedPathError)) throw failure;
      this.#refused.add(path);
    }
  }

  match(method: string, path: string): Result<T> {
    const router = this.#refused.has(path) ? this.#slow : this.#fast;
    return router.match(method, path);
  }
}
