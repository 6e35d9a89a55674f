/** The routes of a session's events: publish, follow over Server-Sent Events, disconnect, and tickets. */
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../../core/limits.ts";
import { publicBase } from "../oauth-metadata.ts";
import { jsonAnswer } from "../answer-headers.ts";
import { headersOf } from "../request-headers.ts";
import { route } from "../route.ts";
import { MANY_EVENTS, ONE_EVENT } from "./body-uses.ts";
import { createTicket, endStream, followEvents, publishEvents } from "./event-verbs.ts";
import { streamFrames } from "./frames.ts";
import { streamQuery } from "./queries.ts";
import { eventPage, lastEvent, publication, published, streamEnd, ticket } from "./schemas.ts";
import { sessionIdOf } from "./sessions.ts";

export const eventRoutes = [
  route({
    method: "post",
    path: "/v1/sessions/:id/events",
    operationId: "publishEvents",
    tag: "events",
    summary: "Publish one event, or up to 100 at once, all or none",
    description:
      'The answer comes once the events are on disk. While the log is full of unread events, the answer is 503 with `Retry-After`, unless the session has `overflow: "trim"`.',
    scope: "events:publish",
    requestHeaders: {
      "Idempotency-Key": {
        description:
          "The same key and the same events again append nothing, while the last of the events is retained",
        schema: {
          type: "string",
          minLength: 1,
          maxLength: MAX_IDEMPOTENCY_KEY_LENGTH,
          pattern: "^[!-~]*$",
        },
      },
    },
    body: publication,
    bodyUse: MANY_EVENTS,
    answers: {
      202: {
        description: "Durable, and sent to the writers attached",
        schema: published,
        headers: {
          "Idempotency-Replayed": "true: the events were published before under this key",
        },
      },
    },
    errors: [
      "session_not_found",
      "idempotency_key_reused",
      "session_disconnected",
      "message_channel_full",
      "stream_ended",
    ],
    handle({ c, caller, body }, { host }) {
      const key = headersOf(c).get("idempotency-key");
      const publishing = publishEvents(
        (...given) => host.as(caller).publish(sessionIdOf(c), ...given),
        body,
        key,
      );
      return publishing.then(({ answer, replayed }) =>
        jsonAnswer(
          JSON.stringify(answer),
          202,
          replayed ? { "idempotency-replayed": "true" } : undefined,
        ),
      );
    },
  }),
  route({
    method: "get",
    path: "/v1/sessions/:id/events",
    operationId: "followEvents",
    tag: "events",
    summary: "Follow a session's events, or read them as JSON (Accept: application/json)",
    description:
      "A reader that comes back with `Last-Event-ID` receives every later event once, in order. Without one the stream starts at the first event that no reader is known to have taken.",
    scope: "events:subscribe",
    query: streamQuery,
    requestHeaders: {
      "Last-Event-ID": "The last event that the client saw; the stream goes on after it",
    },
    answers: {
      200: {
        description: "The stream; a page where Accept prefers JSON",
        schema: eventPage,
        frames: streamFrames,
        headers: { Vary: "Accept" },
      },
      204: {
        description: "The stream has ended with this `Last-Event-ID`: nothing comes after it",
        headers: {
          "Cache-Control":
            "`no-store` among others: a session made anew under the id may have a stream",
        },
      },
    },
    errors: ["session_not_found", "too_many_writers"],
    handle: ({ c, caller, query }, service) =>
      followEvents(service, caller, sessionIdOf(c), c.req.raw, query),
  }),
  route({
    method: "post",
    path: "/v1/sessions/:id/end",
    operationId: "endStream",
    tag: "events",
    summary: "End the stream, after one last event if the body has one; readers get `ended`",
    description:
      "Publishing afterwards answers 409 `stream_ended`. The session lives on until its time is up.",
    scope: "events:publish",
    body: lastEvent,
    bodyUse: ONE_EVENT,
    bodyOptional: true,
    answers: {
      202: { description: "Durable; a stream that had ended is as it was", schema: streamEnd },
    },
    errors: ["session_not_found", "message_channel_full"],
    handle({ c, caller, body }, { host }) {
      const ending = endStream(host, caller, sessionIdOf(c), body);
      return ending.then((ended) => jsonAnswer(JSON.stringify(ended), 202));
    },
  }),
  route({
    method: "post",
    path: "/v1/sessions/:id/disconnect",
    operationId: "disconnectSession",
    tag: "events",
    summary: "End every writer; publishing is refused until one attaches again",
    description: "Publishing answers 503 `session_disconnected` until a reader comes back.",
    scope: "sessions:write",
    answers: { 204: { description: "No writer is attached" } },
    errors: ["session_not_found"],
    async handle({ c, caller }, { host }) {
      await host.as(caller).disconnect(sessionIdOf(c));
      return c.body(null, 204);
    },
  }),
  route({
    method: "post",
    path: "/v1/sessions/:id/tickets",
    operationId: "createTicket",
    tag: "events",
    summary: "Make a short-lived ticket to follow this session's events by URL",
    description:
      "For an EventSource, which cannot send a credential. Where tickets are off (no TICKET_SECRET), the answer is 404 `not_found`.",
    scope: "events:subscribe",
    answers: { 201: { description: "Made", schema: ticket } },
    errors: ["session_not_found", "not_found"],
    async handle({ c, caller }, service) {
      const base = publicBase(c, service.access);
      return jsonAnswer(
        JSON.stringify(await createTicket(service, caller, sessionIdOf(c), base)),
        201,
      );
    },
  }),
];
