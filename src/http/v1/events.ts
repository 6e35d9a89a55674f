/** The routes of a session's events: publish, follow over Server-Sent Events, disconnect, and tickets. */
import type { Context } from "hono";
import type * as z from "zod";
import { instant } from "../../core/document.ts";
import type { NewEvent, StreamStart } from "../../core/host.ts";
import { redactSessionId } from "../../core/id.ts";
import { MAX_IDEMPOTENCY_KEY_LENGTH } from "../../core/limits.ts";
import { bridge } from "../../stream/bridge.ts";
import { publicOrigin } from "../oauth-metadata.ts";
import { problemResponse, STREAM_HEADERS } from "../problem.ts";
import { route } from "../route.ts";
import { MANY_EVENTS, ONE_EVENT } from "./body-uses.ts";
import { PAGE_HEADERS, prefersJson, readPage, VARY } from "./event-page.ts";
import { streamFrames } from "./frames.ts";
import {
  eventPage,
  lastEvent,
  publication,
  published,
  streamEnd,
  streamQuery,
  ticket,
} from "./schemas.ts";
import { sessionIdOf } from "./sessions.ts";

export const eventRoutes = [
  route({
    method: "post",
    path: "/v1/sessions/:id/events",
    operationId: "publishEvents",
    summary: "Publish one event, or up to 100 at once, all or none",
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
      const id = sessionIdOf(c);
      const isArray = Array.isArray(body);
      const events = (isArray ? body : [body]).map(eventOf);
      const key = c.req.header("idempotency-key");
      const publishing = host.as(caller).publish(id, events, key);
      return publishing.then(({ ids, writers, replayed }) => {
        const answer = isArray ? { ids, writers } : { id: ids[0], writers };
        return c.json(answer, 202, replayed && { "idempotency-replayed": "true" });
      });
    },
  }),
  route({
    method: "get",
    path: "/v1/sessions/:id/events",
    operationId: "followEvents",
    summary: "Follow a session's events, or read them as JSON (Accept: application/json)",
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
    async handle({ c, caller, query }, { host, config, log }) {
      const id = sessionIdOf(c);
      const sessions = host.as(caller);
      const asJson = prefersJson(c.req.header("accept"));
      const headers = { ...(asJson ? PAGE_HEADERS : STREAM_HEADERS), ...VARY };
      if (c.req.raw.method === "HEAD") {
        const { ended, lastEventId } = await sessions.read(id, false);
        const isOver = ended && lastEventId === lastEventIdOf(c, query);
        return isOver && !asJson ? noContent(c) : c.body(null, 200, headers);
      }
      if (asJson) {
        const { limit, wait, after = lastEventIdOf(c, query) } = query;
        const asked = { limit, ...(after !== undefined && { after }) };
        return c.json(await readPage(sessions, id, asked, wait * 1000), 200, headers);
      }
      const socket = await sessions.subscribe(id, startOf(c, query));
      if (!socket) return noContent(c);
      const body = bridge(socket, {
        keepaliveMs: config.keepaliveMs,
        bufferBytes: config.streamBufferBytes,
        onCut: (reason) => log.info("reader.cut", { session: redactSessionId(id), reason }),
      });
      return c.body(body, 200, headers);
    },
  }),
  route({
    method: "post",
    path: "/v1/sessions/:id/end",
    operationId: "endStream",
    summary: "End the stream, after one last event if the body has one; readers get `ended`",
    scope: "events:publish",
    body: lastEvent,
    bodyUse: ONE_EVENT,
    bodyOptional: true,
    answers: {
      202: { description: "Durable; a stream that had ended is as it was", schema: streamEnd },
    },
    errors: ["session_not_found", "message_channel_full"],
    handle({ c, caller, body }, { host }) {
      const last = "data" in body ? eventOf(body) : undefined;
      const ending = host.as(caller).endStream(sessionIdOf(c), last);
      return ending.then((ended) => c.json(ended, 202));
    },
  }),
  route({
    method: "post",
    path: "/v1/sessions/:id/disconnect",
    operationId: "disconnectSession",
    summary: "End every writer; publishing is refused until one attaches again",
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
    summary: "Make a short-lived ticket to follow this session's events by URL",
    scope: "events:subscribe",
    answers: { 201: { description: "Made", schema: ticket } },
    errors: ["session_not_found", "not_found"],
    async handle({ c, caller }, { host, access }) {
      const tickets = access.tickets();
      if (!tickets) {
        return problemResponse("not_found", "Tickets are off: TICKET_SECRET is not set.");
      }
      const id = sessionIdOf(c);
      const { subject } = await host.as(caller).read(id, false);
      const expiresAt = access.now() + access.settings.ticketTtlMs;
      const text = await tickets.sign({ session: id, subject, expiresAt });
      // A page of another origin would look for a path on its own.
      const url = `${publicOrigin(c, access)}/v1/sessions/${id}/events?ticket=${text}`;
      const answer = { ticket: text, expiresAt: instant(expiresAt), url };
      return c.json(answer satisfies z.input<typeof ticket>, 201);
    },
  }),
];

function eventOf({ event, data }: { event?: string | undefined; data?: unknown }): NewEvent {
  return {
    // A lone surrogate has no UTF-8, so the log would replay other text than readers got at first.
    ...(event !== undefined && { event: event.toWellFormed() }),
    data: (typeof data === "string" ? data : JSON.stringify(data)).toWellFormed(),
  };
}

/** Tells an EventSource to stop. A cache must not tell that of a session made anew under the id. */
function noContent(c: Context): Response {
  return c.body(null, 204, { "cache-control": STREAM_HEADERS["cache-control"] });
}

/** The header wins over the query: it is newer, because a client's URL stays the same when it reconnects. */
function lastEventIdOf(c: Context, query: z.output<typeof streamQuery>): string | undefined {
  const asked = query.after || query.lastEventId || query.lastEventID || query.last_event_id;
  return c.req.header("last-event-id") || asked || undefined;
}

function startOf(c: Context, query: z.output<typeof streamQuery>): StreamStart {
  const lastEventId = lastEventIdOf(c, query);
  if (lastEventId !== undefined) return { kind: "after", lastEventId };
  return { kind: query.from === "earliest" ? "earliest" : "queued" };
}
