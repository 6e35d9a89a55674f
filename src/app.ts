import type { GatewayHost } from "./gateway/contract.ts";
import { Hono } from "hono";
import { HTTPException } from "hono/http-exception";
import { methodNotAllowed } from "hono/method-not-allowed";
import { createAccess, type Access } from "./auth/access.ts";
import { callerOf } from "./auth/identity.ts";
import { loadAuthSettings } from "./auth/settings.ts";
import type { Config } from "./config/service.ts";
import {
  countSessions,
  listSessions,
  mountDirectory,
  revokeSessions,
} from "./http/v1/directory.ts";
import { disconnectSession, followEvents, mountEvents, publishEvents } from "./http/v1/events.ts";
import { mountGuard } from "./http/guard.ts";
import { jsonBody } from "./http/body.ts";
import { openApiDocument, health, serviceDocument } from "./http/v1/openapi.ts";
import { problemOf, problemResponse } from "./http/problem.ts";
import { mountResourceMetadata, resourceMetadata } from "./http/oauth-metadata.ts";
import { mount, type RouteDescription } from "./http/route.ts";
import { FastRouter } from "./http/router.ts";
import {
  createSession,
  deleteSession,
  mountSessions,
  patchSession,
  putSession,
  readSession,
} from "./http/v1/sessions.ts";
import { createTicket, mountTickets } from "./http/v1/tickets.ts";
import { mountGateway } from "./gateway/routes.ts";
import { createLogger, describeFailure, type Logger } from "./logger.ts";
import { SessionError } from "./core/errors.ts";
import type { Upstreams } from "./gateway/upstream/upstream.ts";

/** Every route that the OpenAPI document describes. */
export const ROUTES: readonly RouteDescription[] = [
  listSessions,
  countSessions,
  revokeSessions,
  createSession,
  readSession,
  putSession,
  patchSession,
  deleteSession,
  publishEvents,
  followEvents,
  disconnectSession,
  createTicket,
  resourceMetadata,
  health,
  serviceDocument,
];

/**
 * The HTTP front of a session host. It knows no platform: `fetch` is standard, and
 * so is what it answers. Without an `access` it serves this machine only.
 */
export function createApp(
  host: GatewayHost,
  config: Config,
  access: Access = createAccess(loadAuthSettings({})),
  upstreams: Upstreams = new Map(),
): Hono {
  const log = createLogger(config.logLevel);
  const app = new Hono({ router: new FastRouter() });

  app.onError((failure) => errorResponse(failure, log));
  const otherMethods = methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const allow = { Allow: [...methods, "OPTIONS"].join(", ") };
      if (c.req.method === "OPTIONS") return new Response(null, { status: 204, headers: allow });
      return problemResponse("method_not_allowed", undefined, allow);
    },
  });
  app.notFound(async (c) => {
    c.res = problemResponse("not_found");
    await otherMethods(c, async () => {});
    return c.res;
  });
  mountGuard(app, access, ROUTES, log);

  mountGateway(app, { host, config, upstreams, log, callerOf });

  for (const { method, path, bodyOptional } of ROUTES.filter(({ body }) => body !== undefined)) {
    app.on(method.toUpperCase(), [path], jsonBody(config.bodyMaxBytes, bodyOptional));
  }

  // Before the sessions: `count` is no session's id.
  mountDirectory(app, host);
  mountSessions(app, host, config);
  mountEvents(app, host, config, log);
  mountTickets(app, host, access);
  mountResourceMetadata(app, access);
  mount(app, health, (c) => c.json({ status: "ok" }));
  let document: object | undefined;
  mount(app, serviceDocument, (c) => c.json((document ??= openApiDocument(ROUTES))));
  return app;
}

/** Every failure leaves through here, so none leaves with a stack, or as a 500. */
function errorResponse(failure: Error, log: Logger): Response {
  if (failure instanceof SessionError) {
    if (failure.cause !== undefined) {
      log.warn("request.failed", { code: failure.code, cause: describeFailure(failure.cause) });
    }
    return problemOf(failure);
  }
  if (failure instanceof HTTPException && failure.status === 400) {
    return problemResponse("invalid_request", "The body is not valid JSON.");
  }
  log.error("request.crashed", { cause: describeFailure(failure) });
  return problemResponse("unavailable");
}
