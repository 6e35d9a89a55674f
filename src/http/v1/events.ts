/** `/v1/sessions/{id}/events`: publish, and follow over Server-Sent Events. */
import type { Context, Hono } from "hono";
import { callerOf } from "../../auth/identity.ts";
import type { Config } from "../../config/service.ts";
import type { Logger } from "../../logger.ts";
import type { NewEvent, SessionHost, StreamStart } from "../../core/host.ts";
import { redactSessionId } from "../../core/id.ts";
import { mount, type RouteDescription } from "../route.ts";
import { publication, published, streamQuery } from "./schemas.ts";
import { sessionIdOf } from "./sessions.ts";
import { bridge } from "../../stream/bridge.ts";

export const publishEvents = {
  method: "post",
  path: "/v1/sessions/:id/events",
  operationId: "publishEvents",
  summary: "Publish one event, or up to 100 at once, all or none",
  scope: "events:publish",
  body: publication,
  answers: { 202: { description: "Durable, and sent to the writers attached", schema: published } },
  errors: [
    "invalid_request",
    "invalid_session_id",
    "session_not_found",
    "session_disconnected",
    "message_channel_full",
    "payload_too_large",
    "unsupported_media_type",
  ],
} as const satisfies RouteDescription;

export const followEvents = {
  method: "get",
  path: "/v1/sessions/:id/events",
  operationId: "followEvents",
  summary: "Follow a session's events",
  scope: "events:subscribe",
  query: streamQuery,
  requestHeaders: {
    "Last-Event-ID": "The last event that the client saw; the stream goes on after it",
  },
  answers: { 200: { description: "The stream", mediaType: "text/event-stream" } },
  errors: ["invalid_request", "invalid_session_id", "session_not_found", "too_many_writers"],
} as const satisfies RouteDescription;

export const disconnectSession = {
  method: "post",
  path: "/v1/sessions/:id/disconnect",
  operationId: "disconnectSession",
  summary: "End every writer; publishing is refused until one attaches again",
  scope: "sessions:write",
  answers: { 204: { description: "No writer is attached" } },
  errors: ["invalid_session_id", "session_not_found"],
} as const satisfies RouteDescription;

const STREAM_HEADERS = {
  "content-type": "text/event-stream",
  // A proxy that transforms or buffers would hold events back.
  "cache-control": "no-store, no-transform",
  "x-accel-buffering": "no",
};

export function mountEvents(app: Hono, host: SessionHost, config: Config, log: Logger): void {
  mount(app, publishEvents, async (c, { body }) => {
    const id = sessionIdOf(c);
    const sessions = host.as(callerOf(c));
    if (!Array.isArray(body)) {
      const { ids, writers } = await sessions.publish(id, [eventOf(body)]);
      return c.json({ id: ids[0], writers }, 202);
    }
    return c.json(await sessions.publish(id, body.map(eventOf)), 202);
  });

  mount(app, followEvents, async (c, { query }) => {
    const id = sessionIdOf(c);
    const sessions = host.as(callerOf(c));
    if (c.req.raw.method === "HEAD") {
      await sessions.read(id, false);
      return c.body(null, 200, STREAM_HEADERS);
    }
    const socket = await sessions.subscribe(id, startOf(c, query));
    const body = bridge(socket, {
      keepaliveMs: config.keepaliveMs,
      bufferBytes: config.streamBufferBytes,
      onCut: (reason) => log.info("reader.cut", { session: redactSessionId(id), reason }),
    });
    return c.body(body, 200, STREAM_HEADERS);
  });

  mount(app, disconnectSession, async (c) => {
    await host.as(callerOf(c)).disconnect(sessionIdOf(c));
    return c.body(null, 204);
  });
}

function eventOf({ event, data }: { event?: string | undefined; data?: unknown }): NewEvent {
  return {
    // A lone surrogate has no UTF-8: what is sent now and what the log replays must be the same.
    ...(event !== undefined && { event: event.toWellFormed() }),
    data: (typeof data === "string" ? data : JSON.stringify(data)).toWellFormed(),
  };
}

/** The header is what a client saw last, so it wins over what its URL once said. */
function startOf(
  c: Context,
  query: { lastEventId?: string | undefined; from?: "earliest" | undefined },
): StreamStart {
  const lastEventId = c.req.header("last-event-id") || query.lastEventId;
  if (lastEventId) return { kind: "after", lastEventId };
  return { kind: query.from === "earliest" ? "earliest" : "queued" };
}
