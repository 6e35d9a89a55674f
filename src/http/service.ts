/** Routes about the service itself. */
import * as z from "zod";
import { PUBLIC, UNGUARDED, type RouteDescription } from "./route.ts";

export const health = {
  method: "get",
  path: "/healthz",
  operationId: "health",
  summary: "Whether the service answers; touches no session",
  scope: UNGUARDED,
  answers: { 200: { description: "It does", schema: z.object({ status: z.literal("ok") }) } },
  errors: [],
} as const satisfies RouteDescription;

export const serviceDocument = {
  method: "get",
  path: "/openapi.json",
  operationId: "openapi",
  summary: "This document",
  scope: PUBLIC,
  answers: { 200: { description: "OpenAPI 3.1", schema: z.object({ openapi: z.string() }) } },
  errors: [],
} as const satisfies RouteDescription;
