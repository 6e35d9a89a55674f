/** `/v1/sessions/{id}/tickets`: leave to follow a session by URL, for browsers' EventSource. */
import type { Hono } from "hono";
import * as z from "zod";
import type { Access } from "../../auth/access.ts";
import { callerOf } from "../../auth/identity.ts";
import type { SessionHost } from "../../core/host.ts";
import { problemResponse } from "../problem.ts";
import { mount, type RouteDescription } from "../route.ts";
import { sessionIdOf } from "./sessions.ts";

const ticket = z.object({
  ticket: z.string().meta({ description: "Goes into the stream's URL, as `ticket`" }),
  expiresAt: z.string().meta({ format: "date-time" }),
  url: z.string().meta({ description: "The stream's path with the ticket in it" }),
});

export const createTicket = {
  method: "post",
  path: "/v1/sessions/:id/tickets",
  operationId: "createTicket",
  summary: "Make a short-lived ticket to follow this session's events by URL",
  scope: "events:subscribe",
  answers: { 201: { description: "Made", schema: ticket } },
  errors: ["invalid_session_id", "session_not_found", "not_found"],
} as const satisfies RouteDescription;

export function mountTickets(app: Hono, host: SessionHost, access: Access): void {
  mount(app, createTicket, async (c) => {
    const tickets = access.tickets();
    if (!tickets) return problemResponse("not_found", "Tickets are off: TICKET_SECRET is not set.");
    const id = sessionIdOf(c);
    const session = await host.as(callerOf(c)).read(id, false);
    const expiresAt = access.now() + access.settings.ticketTtlMs;
    const text = await tickets.sign({ session: id, subject: session.subject, expiresAt });
    const answer: z.input<typeof ticket> = {
      ticket: text,
      expiresAt: new Date(expiresAt).toISOString(),
      url: `/v1/sessions/${id}/events?ticket=${text}`,
    };
    return c.json(answer, 201);
  });
}
