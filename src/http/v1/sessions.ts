/** The routes of one session: make, read, change and end it. */
import type { Context } from "hono";
import type { Config } from "../../config/service.ts";
import { mayName, type Caller } from "../../core/caller.ts";
import { BACKEND_KEYS, stateOfTag } from "../../core/document.ts";
import type {
  IfMatch,
  SessionDocument,
  SessionContent,
  Sessions,
  SessionPatch,
} from "../../core/host.ts";
import { InvalidSessionIdError, SessionError, SessionNotFoundError } from "../../core/errors.ts";
import { requireSessionId, type SessionId } from "../../core/id.ts";
import {
  isNamed,
  onlyWhereAbsent,
  parseIfMatch,
  parseIfNoneMatch,
  refuseIfNoneMatch,
} from "../preconditions.ts";
import { route } from "../route.ts";
import { SESSION_CONTENT } from "./body-uses.ts";
import { newSession, readQuery, session, sessionPatch } from "./schemas.ts";
import type * as z from "zod";
import { DEFAULT_OVERFLOW, DEFAULT_SESSION_TYPE } from "../../core/content.ts";

/** Throws a SessionError (`forbidden`) for metadata that only an admin may set. */
function refuseBackend(
  caller: Caller,
  metadata: Readonly<Record<string, unknown>> | null | undefined,
): void {
  if (caller.admin || !metadata) return;
  const key = BACKEND_KEYS.find((one) => Object.hasOwn(metadata, one));
  if (key !== undefined) {
    throw new SessionError("forbidden", `metadata.${key}: only an admin may set it.`);
  }
}

/** Throws a SessionError (`forbidden`) for content that only an admin may set. */
function contentOf(
  body: z.output<typeof newSession>,
  caller: Caller,
  config: Config,
): SessionContent {
  // Only an admin may make a session for another subject, or give one away.
  if (!mayName(caller, body.subject)) {
    throw new SessionError("forbidden", "subject: only an admin may name another.");
  }
  refuseBackend(caller, body.metadata);
  return {
    type: body.type ?? DEFAULT_SESSION_TYPE,
    metadata: body.metadata ?? {},
    ...(body.data !== undefined && { dataJson: JSON.stringify(body.data) }),
    ttlMs: body.ttlSeconds === undefined ? config.sessionTtlMs : milliseconds(body.ttlSeconds),
    maxLifetimeMs: lifetime(body.maxLifetimeSeconds, config.sessionMaxLifetimeMs),
    ...(body.subject !== undefined && { subject: body.subject }),
    overflow: body.overflow ?? DEFAULT_OVERFLOW,
  };
}

/** Throws as `contentOf` does. */
function patchOf(
  body: z.output<typeof sessionPatch>,
  caller: Caller,
  config: Config,
): SessionPatch {
  refuseBackend(caller, body.metadata);
  return {
    ...(body.metadata !== undefined && { metadata: body.metadata }),
    ...(body.data !== undefined && { dataPatchJson: JSON.stringify(body.data) }),
    // In RFC 7396 null removes a member. A session without a TTL of its own has the configured one.
    ...(body.ttlSeconds !== undefined && {
      ttlMs: body.ttlSeconds === null ? config.sessionTtlMs : milliseconds(body.ttlSeconds),
    }),
    ...(body.overflow !== undefined && { overflow: body.overflow ?? DEFAULT_OVERFLOW }),
  };
}

/** A session can ask for a shorter lifetime than the operator's bound, never for a longer one or none. */
function lifetime(seconds: number | undefined, mostMs: number): number {
  const asked = milliseconds(seconds ?? 0);
  if (asked === 0 || mostMs === 0) return asked || mostMs;
  return Math.min(asked, mostMs);
}

function milliseconds(seconds: number): number {
  return Math.round(seconds * 1000);
}

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
    summary: "Make a session",
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
    handle({ caller, body }, { host, config }) {
      const id = requireSessionId(body.id ?? crypto.randomUUID());
      const making = host.documents(caller).create(id, contentOf(body, caller, config));
      return making.then((document) => made(id, document));
    },
  }),
  route({
    method: "get",
    path: "/v1/sessions/:id",
    operationId: "readSession",
    summary: "Read a session; counts as use",
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
      const ifMatch = parseIfMatch(c.req.header("if-match"));
      const ifNoneMatch = parseIfNoneMatch(c.req.header("if-none-match"));
      const sessions = host.documents(caller);
      const conditions = { ifMatch, ifNoneMatch };
      const { document, isKnown } = await read(sessions, id, query.touch !== "false", conditions);
      return isKnown ? c.body(null, 304, { etag: quoted(document) }) : answer(document);
    },
  }),
  route({
    method: "put",
    path: "/v1/sessions/:id",
    operationId: "putSession",
    summary:
      "Make a session, or replace its content; its events stay, and its streams unless it becomes another subject's",
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
    handle({ c, caller, body }, { host, config }) {
      const id = sessionIdOf(c);
      if (body.id !== undefined && requireSessionId(body.id) !== id) {
        throw new InvalidSessionIdError("id: is not the session's in the path");
      }
      const ifMatch = parseIfMatch(c.req.header("if-match"));
      const onlyMake = onlyWhereAbsent(c.req.header("if-none-match"));
      const content = contentOf(body, caller, config);
      const sessions = host.documents(caller);
      if (onlyMake) {
        // One condition asks for a session that exists, the other for one that does not.
        if (ifMatch !== undefined) throw new SessionError("precondition_failed");
        return makeAbsent(sessions, id, content).then((document) => made(id, document));
      }
      const putting = sessions.upsert(id, content, ifMatch);
      return putting.then(({ created, session }) =>
        created ? made(id, session) : answer(session),
      );
    },
  }),
  route({
    method: "patch",
    path: "/v1/sessions/:id",
    operationId: "patchSession",
    summary: "Change a session by a merge patch (RFC 7396)",
    scope: "sessions:write",
    requestHeaders: { ...IF_MATCH, ...NO_IF_NONE_MATCH },
    body: sessionPatch,
    bodyUse: SESSION_CONTENT,
    answers: { 200: { description: "Changed", schema: session, headers: ETAG } },
    errors: ["session_not_found", "precondition_failed"],
    handle({ c, caller, body }, { host, config }) {
      const ifMatch = parseIfMatch(c.req.header("if-match"));
      refuseIfNoneMatch(c.req.header("if-none-match"));
      const patch = patchOf(body, caller, config);
      const patching = host.documents(caller).patch(sessionIdOf(c), patch, ifMatch);
      return patching.then((document) => answer(document));
    },
  }),
  route({
    method: "delete",
    path: "/v1/sessions/:id",
    operationId: "deleteSession",
    summary: "End a session and its streams",
    scope: "sessions:write",
    requestHeaders: { ...IF_MATCH, ...NO_IF_NONE_MATCH },
    answers: { 204: { description: "There is no such session, any more or ever" } },
    errors: ["invalid_request", "precondition_failed"],
    async handle({ c, caller }, { host }) {
      const ifMatch = parseIfMatch(c.req.header("if-match"));
      refuseIfNoneMatch(c.req.header("if-none-match"));
      const removed = await host.as(caller).delete(sessionIdOf(c), ifMatch);
      // The answer is the same for another version, another's session and none (RFC 9110, 13.1.1).
      if (!removed && ifMatch !== undefined) throw new SessionError("precondition_failed");
      return c.body(null, 204);
    },
  }),
];

/**
 * Reads a session under conditions (RFC 9110, 13.1). They are about the session before this use of
 * it, and one that fails makes it no use. `isKnown`: the client has the document. Throws
 * `precondition_failed`, and as `Sessions.read`.
 */
async function read(
  sessions: Sessions<SessionDocument>,
  id: SessionId,
  touches: boolean,
  { ifMatch, ifNoneMatch }: Readonly<Record<"ifMatch" | "ifNoneMatch", IfMatch | undefined>>,
): Promise<{ readonly document: SessionDocument; readonly isKnown: boolean }> {
  if (ifMatch === undefined && ifNoneMatch === undefined) {
    return { document: await sessions.read(id, touches), isKnown: false };
  }
  const before = await sessions.read(id, false);
  if (ifMatch !== undefined && !isNamed(before.tag, ifMatch)) {
    throw new SessionError("precondition_failed");
  }
  const document = touches ? await sessions.read(id, true) : before;
  // It may have changed between the two reads.
  const isSame = stateOfTag(document.tag) === stateOfTag(before.tag);
  if (ifMatch !== undefined && !isSame) throw new SessionError("precondition_failed");
  const isKnown = isSame && ifNoneMatch !== undefined && isNamed(before.tag, ifNoneMatch);
  return { document: isKnown ? before : document, isKnown };
}

/**
 * Makes a session unless there is one. The session's object decides in one turn; after a
 * refusal, a read finds out why. Throws `precondition_failed` if the caller has one, and
 * `SessionNotFoundError` for another's session, as every PUT does, or for one that has just ended.
 */
async function makeAbsent(
  sessions: Sessions<SessionDocument>,
  id: SessionId,
  content: SessionContent,
): Promise<SessionDocument> {
  try {
    return await sessions.create(id, content);
  } catch (failure) {
    const code = failure instanceof SessionError ? failure.code : undefined;
    // A subject at its limit of sessions may have this one already.
    if (code !== "session_already_exists" && code !== "rate_limited") throw failure;
    const exists = await sessions.read(id, false).then(
      () => true,
      (why: unknown) => {
        if (why instanceof SessionNotFoundError) return false;
        throw why;
      },
    );
    if (exists) throw new SessionError("precondition_failed");
    throw code === "rate_limited" ? failure : new SessionNotFoundError();
  }
}

/** Reads the session's id from the path. Throws InvalidSessionIdError for text that is not a UUID. */
export function sessionIdOf(c: Context): SessionId {
  return requireSessionId(c.req.param("id") ?? "");
}

function made(id: SessionId, document: SessionDocument): Response {
  return answer(document, 201, { location: `/v1/sessions/${id}` });
}

function answer(
  document: SessionDocument,
  status = 200,
  more?: Readonly<Record<string, string>>,
): Response {
  const headers = { "content-type": "application/json", etag: quoted(document), ...more };
  return new Response(document.json, { status, headers });
}

/** A document's tag as the ETag header has it. */
function quoted({ tag }: SessionDocument): string {
  return `"${tag}"`;
}
