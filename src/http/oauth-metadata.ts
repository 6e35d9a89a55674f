/** Tells clients how to get access: `WWW-Authenticate` (RFC 6750) and the resource's metadata (RFC 9728). */
import type { Context } from "hono";
import { type Scope, SCOPES } from "../auth/identity.ts";
import type { Access } from "../auth/access.ts";
import * as z from "zod";
import { MAX_DETAIL_LENGTH } from "../core/limits.ts";
import { problemResponse } from "./problem.ts";
import { PUBLIC, route } from "./route.ts";

export const RESOURCE_METADATA_PATH = "/.well-known/oauth-protected-resource";

/** Paths of the MCP gateway. Each is a protected resource of its own: MCP clients compare it with the URL they call. */
export const GATEWAY_PATHS = ["/mcp", "/sse", "/messages"] as const;

/** The one scope that the gateway asks for. */
export const GATEWAY_SCOPE: Scope = "mcp";

/**
 * The protected resource that a request at a path of the gateway is for. A client of 2024-11-05
 * knows the service by the URL of its stream, and POSTs to another one.
 *
 * @example resourcePathOf("/messages/search"); // "/sse/search"
 */
export function resourcePathOf(gatewayPath: string): string {
  return gatewayPath.replace(/^\/messages(?=\/|$)/, "/sse");
}

export function isGatewayPath(pathname: string): boolean {
  return GATEWAY_PATHS.some((path) => pathname === path || pathname.startsWith(`${path}/`));
}

declare module "hono" {
  interface ContextVariableMap {
    /** The guard has let the request through to the gateway, so a 401 or 403 comes from the upstream. */
    admittedToGateway: true;
    /** Why the guard refused the request; it goes into the challenge. */
    refusal: { readonly error: "invalid_token" | "insufficient_scope"; readonly scope?: Scope };
  }
}

/** Makes the value of `WWW-Authenticate` for a refused request. */
export function challengeOf(c: Context, access: Access): string {
  const refusal = c.get("refusal");
  const metadata = metadataUrl(c, access);
  // An MCP client that reads no scope here asks for all that the metadata list.
  const usual = metadata !== undefined && isGatewayPath(c.req.path) ? GATEWAY_SCOPE : undefined;
  const scope = refusal?.scope ?? usual;
  const parameters = [
    'realm="holdfast"',
    ...(refusal ? [`error="${refusal.error}"`] : []),
    ...(scope ? [`scope="${scope}"`] : []),
    ...(metadata === undefined ? [] : [`resource_metadata=${quoted(metadata)}`]),
  ];
  return `Bearer ${parameters.join(", ")}`;
}

/** Makes a quoted string (RFC 9110, 5.6.4). The URL may hold a quote: a Host header can bring one in. */
export function quoted(text: string): string {
  return `"${text.replaceAll(/["\\]/g, "\\$&")}"`;
}

/** Whether the service has metadata of its own: without tokens there is none. */
export function describesItself({ settings: { method } }: Access): boolean {
  return method.kind === "token" || method.kind === "jwt";
}

/** The origin under which clients reach the service. */
function publicOrigin(c: Context, { settings }: Access): string {
  return settings.publicOrigin ?? new URL(c.req.url).origin;
}

/** The address under which clients reach the service: paths of routes follow it. */
export function publicBase(c: Context, access: Access): string {
  return publicOrigin(c, access) + access.settings.basePath;
}

/** The address of a resource's metadata: its path goes between the origin and the path of the resource (RFC 9728, 3.1). */
export function metadataAddress(c: Context, access: Access, path: string): string {
  return publicOrigin(c, access) + RESOURCE_METADATA_PATH + access.settings.basePath + path;
}

/**
 * Returns undefined without metadata, or for a request whose URL is invalid. The client writes host and
 * path, so this repeats no path that is longer than an error may quote; no real one is.
 */
function metadataUrl(c: Context, access: Access): string | undefined {
  const pathname = URL.parse(c.req.url)?.pathname;
  if (pathname === undefined || !describesItself(access)) return undefined;
  // Not Hono's path, which is decoded.
  const path = pathname.slice(access.settings.basePath.length);
  const resource = isGatewayPath(path) ? resourcePathOf(path) : "";
  const { length } = publicOrigin(c, access);
  if (length > MAX_DETAIL_LENGTH) return undefined;
  const fits = length + resource.length <= MAX_DETAIL_LENGTH;
  return metadataAddress(c, access, fits ? resource : "");
}

const metadata = z
  .object({
    resource: z.string().meta({ description: "The resource's own address" }),
    resource_name: z.string().meta({ description: "Its name for people" }),
    authorization_servers: z
      .array(z.string())
      .optional()
      .meta({ description: "The issuers of its tokens; absent: a client can ask nobody" }),
    scopes_supported: z.array(z.string()).meta({ description: "The scopes of a token" }),
    bearer_methods_supported: z
      .array(z.string())
      .meta({ description: "How a token is sent: in the Authorization header alone" }),
  })
  .meta({
    examples: [
      {
        resource: "https://holdfast.example/mcp",
        resource_name: "Holdfast",
        authorization_servers: ["https://login.example"],
        scopes_supported: [GATEWAY_SCOPE],
        bearer_methods_supported: ["header"],
      },
    ],
  });

/** The route from which an MCP client learns the authorization server (RFC 9728). */
export const resourceMetadata = route({
  method: "get",
  path: RESOURCE_METADATA_PATH,
  pathsBelow: true,
  operationId: "resourceMetadata",
  tag: "service",
  summary:
    "How to get in (RFC 9728); also with a resource's path after it. Only where AUTH is token or jwt",
  description:
    "Clients of MCP learn here which authorization server issues tokens for this service.",
  scope: PUBLIC,
  answers: { 200: { description: "The protected resource's metadata", schema: metadata } },
  errors: ["not_found"],
  handle: ({ c }, { access }) =>
    describesItself(access) ? c.json(documentOf(c, access)) : problemResponse("not_found"),
});

function documentOf(c: Context, access: Access): z.input<typeof metadata> {
  const { method, basePath } = access.settings;
  const path = new URL(c.req.url).pathname.slice(RESOURCE_METADATA_PATH.length + basePath.length);
  return {
    resource: publicBase(c, access) + path,
    resource_name: "Holdfast",
    ...(method.kind === "jwt" && { authorization_servers: [method.issuer] }),
    scopes_supported: isGatewayPath(path) ? [GATEWAY_SCOPE] : [...SCOPES],
    bearer_methods_supported: ["header"],
  };
}
