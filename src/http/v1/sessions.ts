/** The routes of one session: make, read, change and end it. */
import type { Context } from "hono";
import type { SessionDocument } from "../../core/host.ts";
import { requireSessionId, type SessionId } from "../../core/id.ts";
import {
  onlyWhereAbsent,
  parseIfMatch,
  parseIfNoneMatch,
  refuseIfNoneMatch,
} from "../preconditions.ts";
import { jsonAnswer } from "../answer-headers.ts";
import { headersOf } from "../request-headers.ts";
import { route, type Service } from "../route.ts";
import { SESSION_CONTENT } from "./body-uses.ts";
import { readQuery } from "./queries.ts";
import { newSession, session, sessionPatch } from "./schemas.ts";
import {
  createSession,
  deleteSession,
  patchSession,
  putSession,
  quoted,
  readSession,
} from "./session-verbs.ts";

const ETAG = { ETag: "Changes with every byte of the body" };
const IF_MATCH = {
  "If-Match":
    "Only where the session's content is that of one of these entity tags, or the session exists (*); else 412, and nothing changes",
};
const READ_CONDITIONS = {
  "If-Match":
    "Only where one of these entity tags is that of the session as it is before the read, or it exists (*); else 412",
  "If-None-Match":
    "304 where one of these entity tags is that of the session as it is before the read, or it exists (*). A read that counts as use moves `expiresAt`, and so the tag",
};
const NO_IF_NONE_MATCH = { "If-None-Match": "Has no use here, and is refused with 400" };

export const sessionRoutes = [
  route({
    method: "post",
    path: "/v1/sessions",
    operationId: "createSession",
    tag: "sessions",
    summary: "Make a session",
    description:
      "Without an id the service makes one up. A session belongs to the subject that makes it, and lives until it has not been used for `ttlSeconds`.",
    scope: "sessions:write",
    body: newSession,
    bodyUse: SESSION_CONTENT,
    bodyOptional: true,
    answers: {
      201: { description: "Made", schema: session, headers: { ...ETAG, Location: "Its path" } },
    },
    errors: [
      "invalid_session_id",
      "invalid_session_type",
      "session_already_exists",
      "rate_limited",
    ],
    handle({ caller, body }, service) {
      const making = createSession(service, caller, body);
      return making.then(({ id, document }) => made(id, document, service));
    },
  }),
  route({
    method: "get",
    path: "/v1/sessions/:id",
    operationId: "readSession",
    tag: "sessions",
    summary: "Read a session; counts as use",
    description: "Counts as use, which moves `expiresAt`, unless `touch` is false.",
    scope: "sessions:read",
    query: readQuery,
    requestHeaders: READ_CONDITIONS,
    answers: {
      200: { description: "The session", schema: session, headers: ETAG },
      304: { description: "The client has it", headers: ETAG },
    },
    errors: ["session_not_found", "precondition_failed"],
    async handle({ c, caller, query }, { host }) {
      const id = sessionIdOf(c);
      const ifMatch = parseIfMatch(headersOf(c).get("if-match"));
      const ifNoneMatch = parseIfNoneMatch(headersOf(c).get("if-none-match"));
      const conditions = { ifMatch, ifNoneMatch };
      const { document, isKnown } = await readSession(host, caller, id, query, conditions);
      return isKnown ? c.body(null, 304, { etag: quoted(document) }) : answer(document);
    },
  }),
  route({
    method: "put",
    path: "/v1/sessions/:id",
    operationId: "putSession",
    tag: "sessions",
    summary:
      "Make a session, or replace its content; its events stay, and its streams unless it becomes another subject's",
    description: "Safe to repeat. A session that becomes another subject's loses its streams.",
    scope: "sessions:write",
    requestHeaders: {
      ...IF_MATCH,
      "If-None-Match":
        "`*`: make a session, never replace one; 412 where there is one. Entity tags are refused with 400",
    },
    body: newSession,
    bodyUse: SESSION_CONTENT,
    answers: {
      200: { description: "Replaced", schema: session, headers: ETAG },
      201: { description: "Made", schema: session, headers: { ...ETAG, Location: "Its path" } },
    },
    errors: ["invalid_session_type", "precondition_failed", "session_not_found", "rate_limited"],
    handle({ c, caller, body }, service) {
      const id = sessionIdOf(c);
      const putting = putSession(service, caller, id, body, {
        ifMatch: parseIfMatch(headersOf(c).get("if-match")),
        onlyMake: onlyWhereAbsent(headersOf(c).get("if-none-match")),
      });
      return putting.then(({ created, document }) =>
        created ? made(id, document, service) : answer(document),
      );
    },
  }),
  route({
    method: "patch",
    path: "/v1/sessions/:id",
    operationId: "patchSession",
    tag: "sessions",
    summary: "Change a session by a merge patch (RFC 7396)",
    description: "Changes what the patch names, and leaves the rest as it is.",
    scope: "sessions:write",
    requestHeaders: { ...IF_MATCH, ...NO_IF_NONE_MATCH },
    body: sessionPatch,
    bodyUse: SESSION_CONTENT,
    answers: { 200: { description: "Changed", schema: session, headers: ETAG } },
    errors: ["session_not_found", "precondition_failed"],
    handle({ c, caller, body }, service) {
      const ifMatch = parseIfMatch(headersOf(c).get("if-match"));
      refuseIfNoneMatch(headersOf(c).get("if-none-match"));
      const patching = patchSession(service, caller, sessionIdOf(c), body, ifMatch);
      return patching.then((document) => answer(document));
    },
  }),
  route({
    method: "delete",
    path: "/v1/sessions/:id",
    operationId: "deleteSession",
    tag: "sessions",
    summary: "End a session and its streams",
    description:
      "Its readers get a `deleted` frame. The answer is the same where there is no such session.",
    scope: "sessions:write",
    requestHeaders: { ...IF_MATCH, ...NO_IF_NONE_MATCH },
    answers: { 204: { description: "There is no such session, any more or ever" } },
    errors: ["invalid_request", "precondition_failed"],
    async handle({ c, caller }, { host }) {
      const ifMatch = parseIfMatch(headersOf(c).get("if-match"));
      refuseIfNoneMatch(headersOf(c).get("if-none-match"));
      await deleteSession(host, caller, sessionIdOf(c), ifMatch);
      return c.body(null, 204);
    },
  }),
];

/** Reads the session's id from the path. Throws InvalidSessionIdError for text that is not a UUID. */
export function sessionIdOf(c: Context): SessionId {
  return requireSessionId(c.req.param("id") ?? "");
}

function made(id: SessionId, document: SessionDocument, { access }: Service): Response {
  return answer(document, 201, { location: `${access.settings.basePath}/v1/sessions/${id}` });
}

function answer(
  document: SessionDocument,
  status = 200,
  more?: Readonly<Record<string, string>>,
): Response {
  return jsonAnswer(document.json, status, { etag: quoted(document), ...more });
}
