/** What a 401 or 403 tells a client about getting in: `WWW-Authenticate` (RFC 6750), with where to ask (RFC 9728). */
import type { Context } from "hono";
import { type Scope, SCOPES } from "../auth/identity.ts";
import type { Access } from "../auth/access.ts";
import * as z from "zod";
import { problemResponse } from "./problem.ts";
import { PUBLIC, route } from "./route.ts";

const RESOURCE_METADATA_PATH = "/.well-known/oauth-protected-resource";

/** Paths of the MCP gateway. Each is a protected resource of its own, as MCP clients compare it with what they call. */
export const GATEWAY_PATHS = ["/mcp", "/sse", "/messages"] as const;

export function isGatewayPath(pathname: string): boolean {
  return GATEWAY_PATHS.some((path) => pathname === path || pathname.startsWith(`${path}/`));
}

declare module "hono" {
  interface ContextVariableMap {
    /** The guard has let it through to the gateway: a 401 or 403 is now the upstream's word, about itself. */
    admittedToGateway: true;
    /** Why a request was refused; goes into the challenge. */
    refusal: { readonly error: "invalid_token" | "insufficient_scope"; readonly scope?: Scope };
  }
}

export function challengeOf(c: Context, access: Access): string {
  const refusal = c.get("refusal");
  const metadata = metadataUrl(c, access);
  const parameters = [
    'realm="holdfast"',
    ...(refusal ? [`error="${refusal.error}"`] : []),
    ...(refusal?.scope ? [`scope="${refusal.scope}"`] : []),
    ...(metadata === undefined ? [] : [`resource_metadata=${quoted(metadata)}`]),
  ];
  return `Bearer ${parameters.join(", ")}`;
}

/** A quoted string (RFC 9110, 5.6.4): a Host header may hold a quote, and the URL parser leaves it there. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** Whether there is anything to say about how to get a token. */
function describesItself({ settings: { method } }: Access): boolean {
  return method.kind === "token" || method.kind === "jwt";
}

/** The origin under which clients reach the service. */
function publicOrigin(c: Context, access: Access): string {
  return access.settings.publicOrigin ?? new URL(c.req.url).origin;
}

/** Undefined where there is none, or the request's own URL is no URL. */
function metadataUrl(c: Context, access: Access): string | undefined {
  const pathname = URL.parse(c.req.url)?.pathname;
  if (pathname === undefined || !describesItself(access)) return undefined;
  const suffix = isGatewayPath(pathname) ? pathname : "";
  return publicOrigin(c, access) + RESOURCE_METADATA_PATH + suffix;
}

/** `/.well-known/oauth-protected-resource` (RFC 9728): where an MCP client learns which authorization server to ask. */
const metadata = z.object({
  resource: z.string(),
  resource_name: z.string(),
  authorization_servers: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()),
  bearer_methods_supported: z.array(z.string()),
});

export const resourceMetadata = route({
  method: "get",
  path: RESOURCE_METADATA_PATH,
  pathsBelow: true,
  operationId: "resourceMetadata",
  summary:
    "How to get in (RFC 9728); also with a resource's path after it. Only where AUTH is token or jwt",
  scope: PUBLIC,
  answers: { 200: { description: "The protected resource's metadata", schema: metadata } },
  errors: ["not_found"],
  handle: ({ c }, { access }) =>
    describesItself(access) ? c.json(documentOf(c, access)) : problemResponse("not_found"),
});

function documentOf(c: Context, access: Access): z.input<typeof metadata> {
  const suffix = new URL(c.req.url).pathname.slice(RESOURCE_METADATA_PATH.length);
  const { method } = access.settings;
  return {
    resource: publicOrigin(c, access) + suffix,
    resource_name: "Holdfast",
    ...(method.kind === "jwt" && { authorization_servers: [method.issuer] }),
    scopes_supported: [...SCOPES],
    bearer_methods_supported: ["header"],
  };
}
