/** The routes over many sessions: list, count, and end all sessions of a subject. Only an admin reaches those of others. */
import type * as z from "zod";
import type { Caller } from "../../core/caller.ts";
import { instant } from "../../core/document.ts";
import { SessionError } from "../../core/errors.ts";
import type { Revoked, SessionCount, SessionEntry, SessionList } from "../../core/api.ts";
import type { SessionEntry as Entry, SessionHost } from "../../core/host.ts";
import { route } from "../route.ts";
import { countQuery, listQuery, revokeQuery } from "./queries.ts";
import { revoked, sessionCount, sessionList } from "./schemas.ts";

export const directoryRoutes = [
  route({
    method: "get",
    path: "/v1/sessions",
    operationId: "listSessions",
    tag: "directory",
    summary: "List one's own sessions, newest first; an admin lists all, or a subject's",
    description: "The directory follows the sessions within moments.",
    scope: "sessions:read",
    query: listQuery,
    answers: { 200: { description: "A page", schema: sessionList } },
    errors: ["invalid_session_type"],
    handle: async ({ c, caller, query }, { host }) =>
      c.json(await listSessions(host, caller, query)),
  }),
  route({
    method: "get",
    path: "/v1/sessions/count",
    operationId: "countSessions",
    tag: "directory",
    summary: "Count one's own sessions; an admin counts all, or a subject's",
    description: "The directory follows the sessions within moments.",
    scope: "sessions:read",
    query: countQuery,
    answers: { 200: { description: "How many there are", schema: sessionCount } },
    errors: ["invalid_session_type"],
    handle: async ({ c, caller, query }, { host }) =>
      c.json(await countSessions(host, caller, query)),
  }),
  route({
    method: "delete",
    path: "/v1/sessions",
    operationId: "revokeSessions",
    tag: "directory",
    summary: "End all of one's own sessions; an admin names whose",
    description: "Some of them end before the answer, the rest in the background.",
    scope: "sessions:write",
    query: revokeQuery,
    answers: { 202: { description: "They end, many of them in the background", schema: revoked } },
    errors: [],
    handle: async ({ c, caller, query }, { host }) =>
      c.json(await revokeSessions(host, caller, query), 202),
  }),
];

/** Lists sessions. Throws a SessionError: `forbidden` for another subject's, `invalid_request` for a cursor that no listing gave. */
export async function listSessions(
  host: SessionHost,
  caller: Caller,
  query: z.output<typeof listQuery>,
): Promise<SessionList> {
  const { sessions, ...rest } = await host.list({ ...query, ...mayReach(caller, query) });
  return { sessions: sessions.map(entryJson), ...rest };
}

/** Counts sessions. Throws a SessionError (`forbidden`) for another subject's. */
export async function countSessions(
  host: SessionHost,
  caller: Caller,
  query: z.output<typeof countQuery>,
): Promise<SessionCount> {
  return host.count({ ...query, ...mayReach(caller, query) });
}

/** Ends all sessions of a subject. Throws a SessionError: `forbidden` for another's, `invalid_request` for an admin that names no subject. */
export async function revokeSessions(
  host: SessionHost,
  caller: Caller,
  query: z.output<typeof revokeQuery>,
): Promise<Revoked> {
  const { subject } = mayReach(caller, query);
  // An admin has no subject by default, and must not end everybody's sessions.
  if (subject === undefined) throw new SessionError("invalid_request", "subject: is required");
  return host.revoke(subject);
}

/**
 * The subject whose sessions a call reaches: the one that an admin names, or the caller. Throws a
 * SessionError (`forbidden`) for another subject.
 */
function mayReach(
  caller: Caller,
  { subject = caller.admin ? undefined : caller.subject }: { readonly subject?: string },
): { readonly subject?: string } {
  if (caller.admin) return subject === undefined ? {} : { subject };
  if (subject !== undefined && subject === caller.subject) return { subject };
  throw new SessionError("forbidden", "subject: only an admin may name another.");
}

function entryJson(entry: Entry): SessionEntry {
  return {
    id: entry.id,
    type: entry.type,
    createdAt: instant(entry.createdAt),
    expiresAt: instant(entry.expiresAt),
    ...(entry.subject !== undefined && { subject: entry.subject }),
  };
}
