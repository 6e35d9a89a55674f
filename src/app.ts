import type { Hono } from "hono";
import { createAccess, type Access } from "./auth/access.ts";
import { loadAuthSettings, refuseForwardedTokens } from "./auth/settings.ts";
import type { Config } from "./config/service.ts";
import type { GatewayHost } from "./gateway/contract.ts";
import { mountGateway } from "./gateway/routes.ts";
import type { Upstreams } from "./gateway/upstream/upstream.ts";
import { openFront, mountPages, mountRefusals, mountRoutes, type Machine } from "./http/mount.ts";
import { resourceMetadata } from "./http/oauth-metadata.ts";
import { Readiness, type Checks } from "./http/readiness.ts";
import { RequestSignals } from "./http/request-signals.ts";
import type { Route, Service } from "./http/route.ts";
import { directoryRoutes } from "./http/v1/directory.ts";
import { eventRoutes } from "./http/v1/events.ts";
import { openApiDocument } from "./http/v1/openapi.ts";
import { serviceRoutes } from "./http/v1/service.ts";
import { sessionRoutes } from "./http/v1/sessions.ts";
import { createLogger } from "./logger.ts";

/**
 * Every route but the gateway's, in the order in which the app tries them. `/v1/sessions/count`
 * stands before `/v1/sessions/:id`, which matches it too. It also stands after some other path
 * with `:id`: otherwise `FastRouter` throws.
 */
export const ROUTES: readonly Route[] = [
  ...eventRoutes,
  ...directoryRoutes,
  ...sessionRoutes,
  resourceMetadata,
  ...serviceRoutes,
];

/**
 * Makes the HTTP front of a session host. It uses no platform but `fetch`, `Request` and
 * `Response`. Without `access` it serves requests to this machine only. It refuses
 * requests for which the `machine` has too little left.
 *
 *     const app = createApp(host, loadConfig(env));
 *     const response = await app.fetch(new Request("http://localhost/healthz"));
 */
export function createApp(
  host: GatewayHost,
  config: Config,
  access: Access = createAccess(loadAuthSettings({})),
  upstreams: Upstreams = new Map(),
  machine: Machine = {},
): Hono {
  refuseForwardedTokens(access.settings, config.upstreams);
  const log = createLogger(config.logLevel);
  let document: object | undefined;
  const routes = [...ROUTES, ...(machine.routes ?? [])];
  const openApi = () => (document ??= openApiDocument(routes, access.settings));
  const readiness = new Readiness(checksOf(host, access, machine), log);
  const service: Service = { host, config, access, log, openApi, readiness };
  const front = openFront(access, log, new RequestSignals(log, config.logRequests), machine);
  mountGateway(front, { host, config, access, upstreams, log, waitUntil: machine.waitUntil });
  mountRoutes(front, routes, service);
  if (machine.pages) mountPages(front, machine.pages);
  mountRefusals(front);
  return front.app;
}

/** The checks of `/readyz`. */
function checksOf(host: GatewayHost, access: Access, { isDiskFull }: Machine): Checks {
  const { storage, ...others } = host.checks;
  const { kind } = access.settings.method;
  return {
    storage: async () => {
      if (await isDiskFull?.()) throw new Error("the disk is full");
      await storage?.();
    },
    ...others,
    ...(kind === "jwt" && {
      keys: async () => {
        if (!(await access.canCheckTokens())) throw new Error("there are no keys");
      },
    }),
  };
}
