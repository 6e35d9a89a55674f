/**
 * Makes, reads, changes and ends one session: the work of the routes of `/v1` and of the verbs of
 * `sessions(env)`. Bodies are validated already. No function that takes a body awaits anything: the
 * body would stay in memory beside the content that was made of it (`mountRoutes`).
 */
import type * as z from "zod";
import type { Config } from "../../config/service.ts";
import { mayName, type Caller } from "../../core/caller.ts";
import { DEFAULT_OVERFLOW, DEFAULT_SESSION_TYPE } from "../../core/content.ts";
import { BACKEND_KEYS, stateOfTag } from "../../core/document.ts";
import { InvalidSessionIdError, SessionError, SessionNotFoundError } from "../../core/errors.ts";
import type {
  IfMatch,
  SessionContent,
  SessionDocument,
  SessionHost,
  SessionPatch,
  Sessions,
} from "../../core/host.ts";
import { isDerivedId, requireSessionId, type SessionId } from "../../core/id.ts";
import { isNamed } from "../preconditions.ts";
import type { Service } from "../route.ts";
import type { readQuery } from "./queries.ts";
import type { newSession, sessionPatch } from "./schemas.ts";

type Parts = Pick<Service, "host" | "config">;
type Body = z.output<typeof newSession>;

/** Makes a session. Throws a SessionError: `session_already_exists`, `forbidden`, `rate_limited`. */
export function createSession(
  { host, config }: Parts,
  caller: Caller,
  body: Body,
): Promise<{ readonly id: SessionId; readonly document: SessionDocument }> {
  const id = requireSessionId(body.id ?? crypto.randomUUID());
  refuseDerived(id);
  const making = host.documents(caller).create(id, contentOf(body, caller, config));
  return making.then((document) => ({ id, document }));
}

/**
 * Reads a session under conditions (RFC 9110, 13.1). They are compared with the session as it was
 * before this read, and a read whose condition fails does not count as use. `isKnown`: the client has
 * the document already. Throws `precondition_failed`, and as `Sessions.read`.
 */
export async function readSession(
  host: SessionHost,
  caller: Caller,
  id: SessionId,
  { touch }: z.output<typeof readQuery>,
  { ifMatch, ifNoneMatch }: Readonly<Record<"ifMatch" | "ifNoneMatch", IfMatch | undefined>>,
): Promise<{ readonly document: SessionDocument; readonly isKnown: boolean }> {
  const sessions = host.documents(caller);
  const touches = touch !== "false";
  if (ifMatch === undefined && ifNoneMatch === undefined) {
    return { document: await sessions.read(id, touches), isKnown: false };
  }
  const before = await sessions.read(id, false);
  if (ifMatch !== undefined && !isNamed(before.tag, ifMatch)) {
    throw new SessionError("precondition_failed");
  }
  const document = touches ? await sessions.read(id, true) : before;
  // The session may have changed between the two reads.
  const isSame = stateOfTag(document.tag) === stateOfTag(before.tag);
  if (ifMatch !== undefined && !isSame) throw new SessionError("precondition_failed");
  const isKnown = isSame && ifNoneMatch !== undefined && isNamed(before.tag, ifNoneMatch);
  return { document: isKnown ? before : document, isKnown };
}

interface PutConditions {
  readonly ifMatch: IfMatch | undefined;
  /** Make a session, never replace one. */
  readonly onlyMake: boolean;
}

/** Makes or replaces a session. Throws a SessionError: `precondition_failed`, `session_not_found` for another's, `forbidden`, `rate_limited`. */
export function putSession(
  { host, config }: Parts,
  caller: Caller,
  id: SessionId,
  body: Body,
  { ifMatch, onlyMake }: PutConditions,
): Promise<{ readonly created: boolean; readonly document: SessionDocument }> {
  if (body.id !== undefined && requireSessionId(body.id) !== id) {
    throw new InvalidSessionIdError("id: is not the session's in the path");
  }
  refuseDerived(id);
  const content = contentOf(body, caller, config);
  const sessions = host.documents(caller);
  if (!onlyMake) {
    const putting = sessions.upsert(id, content, ifMatch);
    return putting.then(({ created, session }) => ({ created, document: session }));
  }
  // One condition asks for a session that exists, the other for one that does not.
  if (ifMatch !== undefined) throw new SessionError("precondition_failed");
  return makeAbsent(sessions, id, content).then((document) => ({ created: true, document }));
}

/** Changes a session. Throws a SessionError: `session_not_found`, `precondition_failed`, `forbidden`. */
export function patchSession(
  { host, config }: Parts,
  caller: Caller,
  id: SessionId,
  body: z.output<typeof sessionPatch>,
  ifMatch: IfMatch | undefined,
): Promise<SessionDocument> {
  return host.documents(caller).patch(id, patchOf(body, caller, config), ifMatch);
}

/** Ends a session if there is one. Throws a SessionError (`precondition_failed`) if a condition is not met. */
export async function deleteSession(
  host: SessionHost,
  caller: Caller,
  id: SessionId,
  ifMatch: IfMatch | undefined,
): Promise<void> {
  const removed = await host.as(caller).delete(id, ifMatch);
  // The answer is the same for another version, another's session and none (RFC 9110, 13.1.1).
  if (!removed && ifMatch !== undefined) throw new SessionError("precondition_failed");
}

/** A document's tag as the ETag header has it. */
export function quoted({ tag }: SessionDocument): string {
  return `"${tag}"`;
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

/** Another caller could take the session's place before it is made. */
function refuseDerived(id: SessionId): void {
  if (!isDerivedId(id)) return;
  throw new InvalidSessionIdError(
    "id: is of the form that the gateway gives to sessions of its own",
  );
}

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
