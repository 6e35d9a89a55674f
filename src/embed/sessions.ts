/** The verbs of `sessions(env)`: those of `/v1` as functions, for code in the same Worker. */
import { HonoRequest } from "hono/request";
import type * as z from "zod";
import type * as api from "../core/api.ts";
import type { Caller } from "../core/caller.ts";
import { SessionError } from "../core/errors.ts";
import type { SessionDocument } from "../core/host.ts";
import { requireSessionId } from "../core/id.ts";
import { jsonProblem } from "../core/json-bounds.ts";
import type { ServerSession } from "../gateway/own/contract.ts";
import type { PublishEvents } from "../gateway/upstream/upstream.ts";
import { onlyWhereAbsent, parseIfMatch } from "../http/preconditions.ts";
import { problemResponse, reportFailure } from "../http/problem.ts";
import { queryReader, validate, type Service } from "../http/route.ts";
import { countSessions, listSessions, revokeSessions } from "../http/v1/directory.ts";
import {
  createTicket,
  endStream,
  followEvents,
  publishEvents,
  readEvents,
} from "../http/v1/event-verbs.ts";
import { pathToInfinity } from "../http/v1/json-value.ts";
import { countQuery, listQuery, revokeQuery, streamQuery } from "../http/v1/queries.ts";
import { lastEvent, newSession, publication, sessionPatch } from "../http/v1/schemas.ts";
import {
  createSession,
  deleteSession,
  patchSession,
  putSession,
  quoted,
  readSession,
} from "../http/v1/session-verbs.ts";

/** As in the header If-Match: an `etag`, a list of them, or `*` for every session that exists. */
export interface IfMatchOption {
  readonly ifMatch?: string | undefined;
}

export interface Replayable {
  /** The events were published before under the same key. */
  readonly replayed?: true;
}

/**
 * The verbs of `/v1`, with its validation and its errors: each throws a `SessionError` with the `code`
 * and the `status` that a client over HTTP would get.
 *
 * @example
 * const sessions = holdfast.sessions(env);
 * const { id } = await sessions.create({ ttlSeconds: 600, metadata: { topic: "weather" } });
 * await sessions.publish(id, { data: "hello" }, { idempotencyKey: "greeting" });
 * await sessions.end(id);
 */
export interface HoldfastSessions {
  create(content?: api.NewSession): Promise<api.TaggedSession>;
  /** Counts as use unless `touch` is false. */
  get(id: string, options?: { readonly touch?: boolean | undefined }): Promise<api.TaggedSession>;
  /** Makes a session or replaces its content. With `ifNoneMatch: "*"` it makes one, and never replaces. */
  put(
    id: string,
    content: api.NewSession,
    options?: IfMatchOption & { readonly ifNoneMatch?: "*" | undefined },
  ): Promise<api.TaggedSession & { readonly created: boolean }>;
  patch(id: string, patch: api.SessionPatch, options?: IfMatchOption): Promise<api.TaggedSession>;
  /** Ends a session and its streams. No error if there is none, unless there is a condition. */
  delete(id: string, options?: IfMatchOption): Promise<void>;
  /** Resolves once the event is durable. */
  publish(
    id: string,
    event: api.NewEvent,
    options?: api.PublishOptions,
  ): Promise<api.Published & Replayable>;
  /** Publishes 1 to 100 events, all or none. */
  publish(
    id: string,
    events: readonly api.NewEvent[],
    options?: api.PublishOptions,
  ): Promise<api.PublishedMany & Replayable>;
  /** Ends the stream for good, after one last event if there is one. May be repeated. */
  end(id: string, last?: api.NewEvent): Promise<api.StreamEnd>;
  /** Reads events as data. It never counts as reading the queue. */
  read(id: string, options?: api.ReadOptions): Promise<api.EventPage>;
  /**
   * Answers a request of a client with the session's stream, as `GET /v1/sessions/{id}/events` does: it
   * reads the request's `Last-Event-ID`, `Accept` and query. An error is a response too. Check the
   * request's sender first: this method does not.
   */
  follow(request: Request, id: string): Promise<Response>;
  /**
   * A ticket, which opens the session's stream at the service's own route. Its `url` is a path, unless
   * `publicUrl` is set or `origin` is given.
   */
  ticket(id: string, options?: { readonly origin?: string | undefined }): Promise<api.Ticket>;
  /** A page of the sessions that fit, newest first. */
  list(options?: api.ListOptions): Promise<api.SessionList>;
  count(options?: api.FilterOptions): Promise<api.SessionCount>;
  /** Ends all sessions of a subject, many of them in the background. `subject` is required where `sessions(env)` was given none. */
  revoke(options?: api.SubjectOptions): Promise<api.Revoked>;
}

export function sessionsOf(
  service: Omit<Service, "openApi" | "readiness">,
  caller: Caller,
): HoldfastSessions {
  const { host, log, access } = service;
  const follow = async (request: Request, id: string) =>
    followEvents(service, caller, requireSessionId(id), request, readStreamQuery(request));

  async function publish(
    id: string,
    event: api.NewEvent,
    options?: api.PublishOptions,
  ): Promise<api.Published & Replayable>;
  async function publish(
    id: string,
    events: readonly api.NewEvent[],
    options?: api.PublishOptions,
  ): Promise<api.PublishedMany & Replayable>;
  async function publish(
    id: string,
    events: api.NewEvent | readonly api.NewEvent[],
    options: api.PublishOptions = {},
  ): Promise<(api.Published | api.PublishedMany) & Replayable> {
    const toSession: PublishEvents = (...given) =>
      host.as(caller).publish(requireSessionId(id), ...given);
    return validated(toSession, events, options);
  }

  return {
    async create(content = {}) {
      const { document } = await createSession(service, caller, checked(newSession, content));
      return sessionOf(document);
    },
    async get(id, { touch = true } = {}) {
      const query = { touch: touch ? "true" : "false" } as const;
      const unconditional = { ifMatch: undefined, ifNoneMatch: undefined };
      const sessionId = requireSessionId(id);
      return sessionOf((await readSession(host, caller, sessionId, query, unconditional)).document);
    },
    async put(id, content, { ifMatch, ifNoneMatch } = {}) {
      const body = checked(newSession, content);
      const { created, document } = await putSession(service, caller, requireSessionId(id), body, {
        ifMatch: parseIfMatch(ifMatch),
        onlyMake: onlyWhereAbsent(ifNoneMatch),
      });
      return { ...sessionOf(document), created };
    },
    async patch(id, patch, { ifMatch } = {}) {
      const body = checked(sessionPatch, patch);
      const condition = parseIfMatch(ifMatch);
      return sessionOf(await patchSession(service, caller, requireSessionId(id), body, condition));
    },
    async delete(id, { ifMatch } = {}) {
      await deleteSession(host, caller, requireSessionId(id), parseIfMatch(ifMatch));
    },
    publish,
    end: async (id, last) =>
      endStream(host, caller, requireSessionId(id), checked(lastEvent, last ?? {})),
    read: async (id, options = {}) =>
      readEvents(host, caller, requireSessionId(id), checked(streamQuery, options)),
    async follow(request, id) {
      try {
        return await follow(request, id);
      } catch (failure) {
        const { code, message } = reportFailure(failure, log);
        return problemResponse(code, message);
      }
    },
    async ticket(id, { origin = "" } = {}) {
      const base = (access.settings.publicOrigin ?? origin) + access.settings.basePath;
      return createTicket(service, caller, requireSessionId(id), base);
    },
    list: async (options = {}) => listSessions(host, caller, checked(listQuery, options)),
    count: async (options = {}) => countSessions(host, caller, checked(countQuery, options)),
    revoke: async (options = {}) => revokeSessions(host, caller, checked(revokeQuery, options)),
  };
}

/** Publishes to one session what is valid. Throws as a verb does. */
async function validated(
  publish: PublishEvents,
  events: api.NewEvent | readonly api.NewEvent[],
  { idempotencyKey }: api.PublishOptions,
): Promise<(api.Published | api.PublishedMany) & Replayable> {
  const body = checked(publication, events);
  const { answer, replayed } = await publishEvents(publish, body, idempotencyKey);
  return { ...answer, ...(replayed && { replayed: true }) };
}

/** The `publish` of a server of one's own, over what publishes to its session. */
export function serverPublish(publish: PublishEvents): ServerSession["publish"] {
  async function valid(event: api.NewEvent, options?: api.PublishOptions): Promise<api.Published>;
  async function valid(
    events: readonly api.NewEvent[],
    options?: api.PublishOptions,
  ): Promise<api.PublishedMany>;
  async function valid(
    events: api.NewEvent | readonly api.NewEvent[],
    options: api.PublishOptions = {},
  ): Promise<api.Published | api.PublishedMany> {
    return validated(publish, events, options);
  }
  return valid;
}

const queryOfStream = queryReader(streamQuery);

function readStreamQuery(request: Request): z.output<typeof streamQuery> {
  // The reader validates by the same schema.
  return queryOfStream(new HonoRequest(request)) as z.output<typeof streamQuery>;
}

/**
 * Validates a value as a route validates the JSON of a client. So a Date becomes text, and a member
 * that is undefined counts as absent. Throws a SessionError for a value that JSON cannot hold.
 */
function checked<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  let text: string | undefined;
  try {
    text = JSON.stringify(value);
  } catch (failure) {
    // The value refers to itself, or holds a BigInt.
    throw new SessionError("invalid_request", `It cannot be written as JSON: ${String(failure)}`);
  }
  if (text === undefined) throw new SessionError("invalid_request", "It must be an object.");
  const problem = jsonProblem(text);
  if (problem !== undefined) throw new SessionError("invalid_request", `It ${problem}.`);
  const path = pathToInfinity(value);
  if (path) {
    throw new SessionError("invalid_request", `${path.join(".")}: JSON cannot hold this number`);
  }
  return validate(schema, JSON.parse(text));
}

function sessionOf(document: SessionDocument): api.TaggedSession {
  // The session's object wrote it.
  return { ...(JSON.parse(document.json) as api.Session), etag: quoted(document) };
}
