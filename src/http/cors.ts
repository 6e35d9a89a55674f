/**
 * CORS for the listed origins and no other. The service itself uses no cookies, so it allows none to
 * be sent unless the app that it is a part of asks for them.
 */
import type { MiddlewareHandler } from "hono";
import { cors } from "hono/cors";
import type { AuthSettings } from "../auth/settings.ts";

/** Response headers that a page may read. */
const EXPOSED_HEADERS = [
  "ETag",
  "Location",
  "Retry-After",
  "Idempotency-Replayed",
  "WWW-Authenticate",
  "Mcp-Session-Id",
  "MCP-Protocol-Version",
];

/** Seconds that a browser may keep a preflight's answer. */
const MAX_AGE_SECONDS = 600;

export function corsFor({ allowedOrigins, credentials }: AuthSettings): MiddlewareHandler {
  return (c, next) => {
    const origin = c.req.header("origin");
    if (origin === undefined || !allowedOrigins.has(origin)) return next();
    const requestedMethod = c.req.header("access-control-request-method");
    // An OPTIONS that is not a preflight goes on to the route.
    if (c.req.method === "OPTIONS" && requestedMethod === undefined) return next();
    // Without a list it allows what the page asks for: MCP names headers after the parameters of
    // tools, tracing adds its own, and a listed origin may send what any client may.
    return cors({
      origin,
      allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: MAX_AGE_SECONDS,
      credentials,
    })(c, next);
  };
}
