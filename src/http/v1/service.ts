/** The routes about the service itself. */
import * as z from "zod";
import { problemResponse } from "../problem.ts";
import { PUBLIC, route, UNGUARDED } from "../route.ts";

const health = z
  .object({ status: z.literal("ok").meta({ description: "It answers" }) })
  .meta({ examples: [{ status: "ok" }] });

const readiness = z
  .object({ status: z.literal("ready").meta({ description: "It can do its work" }) })
  .meta({ examples: [{ status: "ready" }] });

const self = z
  .object({ openapi: z.string().meta({ description: "The version of OpenAPI" }) })
  .meta({ examples: [{ openapi: "3.1.0" }] });

export const serviceRoutes = [
  route({
    method: "get",
    path: "/healthz",
    operationId: "health",
    tag: "service",
    summary: "Whether the service answers; touches no session",
    description: "For load balancers: it needs no credential and counts in no rate limit.",
    scope: UNGUARDED,
    answers: { 200: { description: "It does", schema: health } },
    errors: [],
    handle: ({ c }) => c.json({ status: "ok" }),
  }),
  route({
    method: "get",
    path: "/readyz",
    operationId: "ready",
    tag: "service",
    summary: "Whether the service can do its work: store, list and check tokens",
    description:
      "For load balancers: it needs no credential and counts in no rate limit. The answer is two seconds old at most. The problem of a 503 has a member `failing`, with the names of the checks that fail: `storage`, `directory`, `keys`.",
    scope: UNGUARDED,
    answers: { 200: { description: "It can", schema: readiness } },
    errors: [],
    handle: async ({ c }, { readiness }) => {
      const failing = await readiness.failing();
      if (failing.length === 0) return c.json({ status: "ready" });
      c.set("reason", "not_ready");
      const detail = `Not ready: ${failing.join(", ")}.`;
      return problemResponse("unavailable", detail, undefined, { failing });
    },
  }),
  route({
    method: "get",
    path: "/openapi.json",
    operationId: "openapi",
    tag: "service",
    summary: "This document",
    description: "Made from the routes themselves, as this instance is configured.",
    scope: PUBLIC,
    answers: { 200: { description: "OpenAPI 3.1", schema: self } },
    errors: [],
    handle: ({ c }, { openApi }) => c.json(openApi()),
  }),
];
