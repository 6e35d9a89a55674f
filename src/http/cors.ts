/**
 * CORS for the listed origins and no other. The service itself uses no cookies, so it allows none to
 * be sent unless the app that it is a part of asks for them.
 */
import { cors } from "hono/cors";
import type { AuthSettings } from "../auth/settings.ts";
import type { Step } from "./guard.ts";
import { headersOf } from "./request-headers.ts";

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

export function corsFor({ allowedOrigins, credentials }: AuthSettings): Step {
  return async (c, work) => {
    const origin = headersOf(c).get("origin");
    if (origin === undefined || !allowedOrigins.has(origin)) return work();
    const requestedMethod = headersOf(c).get("access-control-request-method");
    // An OPTIONS that is not a preflight goes on to the route.
    if (c.req.method === "OPTIONS" && requestedMethod === undefined) return work();
    // Without a list it allows what the page asks for: MCP names headers after the parameters of
    // tools, tracing adds its own, and a listed origin may send what any client may.
    const allow = cors({
      origin,
      allowMethods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
      exposeHeaders: EXPOSED_HEADERS,
      maxAge: MAX_AGE_SECONDS,
      credentials,
    });
    const preflight = await allow(c, async () => {
      c.res = await work();
    });
    return preflight ?? c.res;
  };
}
