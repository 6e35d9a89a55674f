/** `/.well-known/oauth-protected-resource` (RFC 9728): where an MCP client learns which authorization server to ask. */
import type { Context, Hono } from "hono";
import * as z from "zod";
import type { Access } from "../auth/access.ts";
import { SCOPES } from "../auth/scopes.ts";
import { describesItself, publicOrigin, RESOURCE_METADATA_PATH } from "./challenge.ts";
import { problemResponse } from "./problem.ts";
import { mount, PUBLIC, type RouteDescription } from "./route.ts";

const metadata = z.object({
  resource: z.string(),
  resource_name: z.string(),
  authorization_servers: z.array(z.string()).optional(),
  scopes_supported: z.array(z.string()),
  bearer_methods_supported: z.array(z.string()),
});

export const resourceMetadata = {
  method: "get",
  path: RESOURCE_METADATA_PATH,
  operationId: "resourceMetadata",
  summary:
    "How to get in (RFC 9728); also with a resource's path after it. Only where AUTH is token or jwt",
  scope: PUBLIC,
  answers: { 200: { description: "The protected resource's metadata", schema: metadata } },
  errors: ["not_found"],
} as const satisfies RouteDescription;

export function mountResourceMetadata(app: Hono, access: Access): void {
  const answer = (c: Context): Response =>
    describesItself(access) ? c.json(documentOf(c, access)) : problemResponse("not_found");
  mount(app, resourceMetadata, answer);
  app.get(`${RESOURCE_METADATA_PATH}/*`, answer);
}

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
