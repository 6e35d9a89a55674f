/** `/v1/sessions`: make, read, change and end a session. */
import type { Context, Hono } from "hono";
import type { Config } from "../config.ts";
import { callerOf } from "../auth/identity.ts";
import { mayName, type Caller } from "../session/caller.ts";
import { documentOf, type SessionDocument } from "../session/document.ts";
import { InvalidSessionIdError, SessionError } from "../session/errors.ts";
import type { SessionHost, SessionView } from "../session/host.ts";
import { newSessionId, parseSessionId, type SessionId } from "../session/id.ts";
import { parseIfMatch } from "./if-match.ts";
import { mount, type RouteDescription } from "./route.ts";
import { newSession, readQuery, session, sessionPatch } from "./schemas.ts";
import { contentOf, patchOf, refuseBackend } from "./session-json.ts";

const ETAG = { ETag: "Changes with the session's content" };
const IF_MATCH = { "If-Match": "Change only what has this entity tag" };

export const createSession = {
  method: "post",
  path: "/v1/sessions",
  operationId: "createSession",
  summary: "Make a session",
  scope: "sessions:write",
  body: newSession,
  answers: {
    201: { description: "Made", schema: session, headers: { ...ETAG, Location: "Its path" } },
  },
  errors: [
    "invalid_request",
    "invalid_session_id",
    "invalid_session_type",
    "session_already_exists",
    "rate_limited",
    "payload_too_large",
    "unsupported_media_type",
  ],
} as const satisfies RouteDescription;

export const readSession = {
  method: "get",
  path: "/v1/sessions/:id",
  operationId: "readSession",
  summary: "Read a session; counts as use",
  scope: "sessions:read",
  query: readQuery,
  answers: { 200: { description: "The session", schema: session, headers: ETAG } },
  errors: ["invalid_request", "invalid_session_id", "session_not_found"],
} as const satisfies RouteDescription;

export const putSession = {
  method: "put",
  path: "/v1/sessions/:id",
  operationId: "putSession",
  summary: "Make a session, or replace its content; its events and streams stay",
  scope: "sessions:write",
  requestHeaders: IF_MATCH,
  body: newSession,
  answers: {
    200: { description: "Replaced", schema: session, headers: ETAG },
    201: { description: "Made", schema: session, headers: { ...ETAG, Location: "Its path" } },
  },
  errors: [
    "invalid_request",
    "invalid_session_id",
    "invalid_session_type",
    "precondition_failed",
    "session_not_found",
    "rate_limited",
    "payload_too_large",
    "unsupported_media_type",
  ],
} as const satisfies RouteDescription;

export const patchSession = {
  method: "patch",
  path: "/v1/sessions/:id",
  operationId: "patchSession",
  summary: "Change a session by a merge patch (RFC 7396)",
  scope: "sessions:write",
  requestHeaders: IF_MATCH,
  body: sessionPatch,
  answers: { 200: { description: "Changed", schema: session, headers: ETAG } },
  errors: [
    "invalid_request",
    "invalid_session_id",
    "session_not_found",
    "precondition_failed",
    "payload_too_large",
    "unsupported_media_type",
  ],
} as const satisfies RouteDescription;

export const deleteSession = {
  method: "delete",
  path: "/v1/sessions/:id",
  operationId: "deleteSession",
  summary: "End a session and its streams",
  scope: "sessions:write",
  answers: { 204: { description: "There is no such session, any more or ever" } },
  errors: ["invalid_session_id"],
} as const satisfies RouteDescription;

export function mountSessions(app: Hono, host: SessionHost, config: Config): void {
  mount(app, createSession, async (c, { body }) => {
    const id = body.id === undefined ? newSessionId() : canonical(body.id);
    const caller = callerOf(c);
    refuseOtherSubject(caller, body.subject);
    refuseBackend(caller, body.metadata);
    return made(await host.as(caller).create(id, contentOf(body, config)), caller);
  });

  mount(app, readSession, async (c, { query }) => {
    const sessions = host.as(callerOf(c));
    return found(await sessions.document(sessionIdOf(c), query.touch !== "false"));
  });

  mount(app, putSession, async (c, { body }) => {
    const id = sessionIdOf(c);
    if (body.id !== undefined && canonical(body.id) !== id) {
      throw new InvalidSessionIdError("id: is not the session's in the path");
    }
    const ifMatch = parseIfMatch(c.req.header("if-match"));
    const caller = callerOf(c);
    refuseOtherSubject(caller, body.subject);
    refuseBackend(caller, body.metadata);
    const content = contentOf(body, config);
    const { created, session } = await host.as(caller).upsert(id, content, ifMatch);
    return created ? made(session, caller) : found(documentOf(session, caller));
  });

  mount(app, patchSession, async (c, { body }) => {
    const ifMatch = parseIfMatch(c.req.header("if-match"));
    const caller = callerOf(c);
    refuseBackend(caller, body.metadata);
    const sessions = host.as(caller);
    const session = await sessions.patch(sessionIdOf(c), patchOf(body, config), ifMatch);
    return found(documentOf(session, caller));
  });

  mount(app, deleteSession, async (c) => {
    await host.as(callerOf(c)).delete(sessionIdOf(c));
    return c.body(null, 204);
  });
}

/** The session that the path names. Throws InvalidSessionIdError where that is no UUID. */
export function sessionIdOf(c: Context): SessionId {
  return canonical(c.req.param("id") ?? "");
}

/** Only an admin makes a session in someone else's name, or hands one over. */
function refuseOtherSubject(caller: Caller, subject: string | undefined): void {
  if (mayName(caller, subject)) return;
  throw new SessionError("forbidden", "subject: only an admin may name another.");
}

function canonical(text: string): SessionId {
  const id = parseSessionId(text);
  if (id === undefined) throw new InvalidSessionIdError();
  return id;
}

function made(view: SessionView, caller: Caller): Response {
  return answer(documentOf(view, caller), 201, { location: `/v1/sessions/${view.id}` });
}

function found(document: SessionDocument): Response {
  return answer(document, 200);
}

function answer(
  { version, json }: SessionDocument,
  status: number,
  more?: Readonly<Record<string, string>>,
): Response {
  const headers = { "content-type": "application/json", etag: `"${version}"`, ...more };
  return new Response(json, { status, headers });
}
