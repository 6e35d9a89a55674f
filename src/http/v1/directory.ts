/** The routes over many sessions: list, count, and end all sessions of a subject. */
import type * as z from "zod";
import { instant } from "../../core/document.ts";
import type { SessionEntry } from "../../core/host.ts";
import { route } from "../route.ts";
import {
  countQuery,
  listQuery,
  revoked,
  revokeQuery,
  sessionCount,
  type sessionEntry,
  sessionList,
} from "./schemas.ts";

export const directoryRoutes = [
  route({
    method: "get",
    path: "/v1/sessions",
    operationId: "listSessions",
    summary: "List sessions, newest first",
    scope: "admin",
    query: listQuery,
    answers: { 200: { description: "A page", schema: sessionList } },
    errors: ["invalid_session_type"],
    async handle({ c, query }, { host }) {
      const { sessions, ...rest } = await host.list(query);
      return c.json({ sessions: sessions.map(entryJson), ...rest });
    },
  }),
  route({
    method: "get",
    path: "/v1/sessions/count",
    operationId: "countSessions",
    summary: "Count sessions",
    scope: "admin",
    query: countQuery,
    answers: { 200: { description: "How many there are", schema: sessionCount } },
    errors: ["invalid_session_type"],
    handle: async ({ c, query }, { host }) => c.json(await host.count(query)),
  }),
  route({
    method: "delete",
    path: "/v1/sessions",
    operationId: "revokeSessions",
    summary: "End all sessions of a subject",
    scope: "admin",
    query: revokeQuery,
    answers: { 202: { description: "They end, many of them in the background", schema: revoked } },
    errors: [],
    handle: async ({ c, query }, { host }) => c.json(await host.revoke(query.subject), 202),
  }),
];

function entryJson(entry: SessionEntry): z.input<typeof sessionEntry> {
  return {
    id: entry.id,
    type: entry.type,
    createdAt: instant(entry.createdAt),
    expiresAt: instant(entry.expiresAt),
    ...(entry.subject !== undefined && { subject: entry.subject }),
  };
}
