/** The app over real session objects, with access control that a test sets. */
import { env } from "cloudflare:workers";
import type { Hono } from "hono";
import { createApp } from "../../src/app.ts";
import { createAccess, type AccessPlatform } from "../../src/auth/access.ts";
import { apiTokens, type Grants } from "./api-tokens.ts";
import { directory } from "./directory.ts";
import { loadAuthSettings } from "../../src/auth/settings.ts";
import { loadConfig } from "../../src/config/service.ts";
import type { Environment } from "../../src/config/env.ts";
import { DurableObjectHost } from "../../src/session/object-host.ts";
import type { SessionObject } from "../../src/session/session-object.ts";
import { openUpstreams } from "../../src/gateway/upstream/open.ts";
import { demoServer } from "../../src/gateway/demo/demo.ts";

const { SESSIONS } = env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> };

export function guardedApp(variables: Environment, platform: AccessPlatform = {}): Hono {
  const access = createAccess(loadAuthSettings(variables), platform);
  const config = loadConfig(variables);
  const host = new DurableObjectHost(SESSIONS, {
    directory: directory(),
    maxSessionsPerSubject: config.maxSessionsPerSubject,
  });
  const { stateless } = demoServer();
  const sends = new Map(Object.keys(config.upstreams).map((name) => [name, stateless]));
  return createApp(host, config, access, openUpstreams(config, variables, sends));
}

export interface TokenApp {
  readonly app: Hono;
  /** `Authorization` headers by the names given. */
  readonly headers: Readonly<Record<string, { authorization: string }>>;
}

/** An app that knows these tokens, each with a subject and scopes. */
export async function tokenApp(
  grants: Grants,
  variables: Environment = {},
  platform: AccessPlatform = {},
): Promise<TokenApp> {
  const { variable, headers } = await apiTokens(grants);
  return {
    app: guardedApp({ AUTH: "token", API_TOKENS: variable, ...variables }, platform),
    headers,
  };
}
