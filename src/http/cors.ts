/** CORS for the listed origins and no other. The service uses no cookies, so it allows no credentials. */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";

/** Request headers of `/v1` and MCP that a browser sends only with permission. */
const ALLOWED_HEADERS = [
  "Authorization",
  "Content-Type",
  "Accept",
  "If-Match",
  "If-None-Match",
  "Last-Event-ID",
  "Mcp-Session-Id",
  "MCP-Protocol-Version",
  "Mcp-Method",
  "Mcp-Name",
];

/** MCP names these headers after the parameters of tools, so only their form is known. */
const MCP_PARAM_HEADER = /^mcp-param-[\w-]+$/i;

/** Response headers that a page may read. */
const EXPOSED_HEADERS = [
  "ETag",
  "Location",
  "Retry-After",
  "WWW-Authenticate",
  "Mcp-Session-Id",
  "MCP-Protocol-Version",
];

/** Seconds that a browser may keep a preflight's answer. */
const MAX_AGE_SECONDS = 600;

export function corsFor(origins: ReadonlySet<string>): MiddlewareHandler {
  return (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined || !origins.has(origin)) return next();
    const requestedMethod = c.req.header("access-control-request-method");
    // An OPTIONS that is not a preflight goes on to the route.
    if (c.req.method === "OPTIONS" && requestedMethod === undefined) return next();
    const requested = c.req.header("access-control-request-headers") ?? "";
    const names = requested.split(",").map((name) => name.trim());
    return cors({
      origin,
      allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
      allowHeaders: [...ALLOWED_HEADERS, ...names.filter((name) => MCP_PARAM_HEADER.test(name))],
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: MAX_AGE_SECONDS,
    })(c, next);
  };
}
