/**
 * Mounts what the service serves: the one place that gives the app a handler. Each is behind
 * the guard, with a scope, so nothing can be served that nobody guards. The linter refuses
 * to mount anywhere else.
 */
import { Hono, type Context } from "hono";
import { methodNotAllowed } from "hono/method-not-allowed";
import { UnsupportedPathError, type Result, type Router } from "hono/router";
import { RegExpRouter } from "hono/router/reg-exp-router";
import { TrieRouter } from "hono/router/trie-router";
import { callerOf } from "../auth/identity.ts";
import type { Access } from "../auth/access.ts";
import type { Caller } from "../core/caller.ts";
import type { Logger } from "../logger.ts";
import { readJson } from "./body.ts";
import { corsFor } from "./cors.ts";
import { finish, type Guard } from "./guard.ts";
import { isGatewayPath, GATEWAY_PATHS } from "./oauth-metadata.ts";
import { problemResponse, reportFailure } from "./problem.ts";
import { queryReader, takesTicket, validate, type Route, type Service } from "./route.ts";

/** An app that serves nothing yet. Every failure leaves through it, so none leaves with a stack, or as a 500. */
export function emptyApp(access: Access, log: Logger): Hono {
  const app = new Hono({ router: new FastRouter() });
  app.onError((failure) => {
    const { code, message } = reportFailure(failure, log);
    return problemResponse(code, message);
  });
  app.use(finish(access));
  const { allowedOrigins } = access.settings;
  if (allowedOrigins.size > 0) app.use(corsFor(allowedOrigins));
  return app;
}

/** Mounts routes in their order: of two that fit a path, the first one serves it. */
export function mountRoutes(
  app: Hono,
  guard: Guard,
  routes: readonly Route[],
  service: Service,
): void {
  const { bodyMaxBytes } = service.config;
  for (const route of routes) {
    const { method, path, pathsBelow, body, bodyOptional } = route;
    const rule = { scope: route.scope, takesTicket: takesTicket(route) };
    const queryOf = route.query && queryReader(route.query);
    const serve = async (c: Context): Promise<Response> => {
      const identity = await guard(c, rule);
      if (identity instanceof Response) return identity;
      const call = {
        c,
        caller: callerOf(identity),
        body: body && validate(body, await readJson(c.req.raw, bodyMaxBytes, bodyOptional)),
        query: queryOf?.(c.req),
      };
      // The handler's own schemas made the query and the body.
      return route.handle(call as typeof call & { body: never; query: never }, service);
    };
    app.on(method.toUpperCase(), pathsBelow ? [`${path}/*`] : [path], serve);
  }
}

/** Mounts the gateway: at each of its paths, and one segment below, which names the upstream. */
export function mountGatewayPaths(
  app: Hono,
  guard: Guard,
  handlers: Readonly<
    Record<(typeof GATEWAY_PATHS)[number], (c: Context, caller: Caller) => Promise<Response>>
  >,
): void {
  for (const path of GATEWAY_PATHS) {
    app.on("ALL", [path, `${path}/:upstream`], async (c) => {
      const identity = await guard(c, { scope: "mcp" });
      if (identity instanceof Response) return identity;
      // The gateway refuses nobody; an upstream that does says itself how to get in, or does not.
      c.set("admittedToGateway", true);
      return handlers[path](c, callerOf(identity));
    });
  }
}

/** Answers what no route serves. It comes last, and asks for a credential too: a stranger learns of no route. */
export function mountRefusals(app: Hono, guard: Guard): void {
  const otherMethods = methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const allow = { Allow: [...methods, "OPTIONS"].join(", ") };
      if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: allow });
      return problemResponse("method_not_allowed", undefined, allow);
    },
  });
  app.all("*", async (c) => {
    const identity = await guard(c, { scope: isGatewayPath(c.req.path) ? "mcp" : undefined });
    if (identity instanceof Response) return identity;
    c.res = problemResponse("not_found");
    await otherMethods(c, async () => {});
    return c.res;
  });
}

/**
 * Finds the handlers of a request. Hono's fast router, one regular expression for
 * all paths, cannot hold a fixed segment beside a parameter (`/count` beside
 * `/:id`), and by itself Hono then takes its slow one for every path: a tenth of
 * what a read costs (profiled, November 2026). So the slow one is asked for those
 * paths alone.
 */
export class FastRouter<T> implements Router<T> {
  readonly name = "FastRouter";
  readonly #fast = new RegExpRouter<T>();
  readonly #slow = new TrieRouter<T>();
  /** Paths that the fast router does not hold. */
  readonly #refused = new Set<string>();

  /** Throws where a path with a parameter comes after a fixed one that stands in its place. */
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
