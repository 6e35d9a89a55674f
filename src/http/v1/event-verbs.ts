/**
 * Publishes to a session's stream, follows and ends it, and makes tickets for it: the work of the
 * routes of `/v1` and of the verbs of `sessions(env)`. Bodies and queries are validated already. No
 * function that takes a body awaits anything: the body would stay in memory beside its events
 * (`mountRoutes`).
 */
import type * as z from "zod";
import type { Published, PublishedMany, Ticket } from "../../core/api.ts";
import type { Caller } from "../../core/caller.ts";
import { instant } from "../../core/document.ts";
import { SessionError } from "../../core/errors.ts";
import type {
  EventPage,
  NewEvent,
  Published as Stored,
  SessionHost,
  StreamEnd,
  StreamStart,
} from "../../core/host.ts";
import { redactSessionId, type SessionId } from "../../core/id.ts";
import { bridge } from "../../stream/bridge.ts";
import { STREAM_HEADERS } from "../problem.ts";
import type { Service } from "../route.ts";
import { PAGE_HEADERS, prefersJson, readPage, VARY } from "./event-page.ts";
import type { streamQuery } from "./queries.ts";
import type { lastEvent, publication } from "./schemas.ts";

type StreamQuery = z.output<typeof streamQuery>;

interface PublishAnswer {
  readonly answer: Published | PublishedMany;
  /** The events were published before under the same key. */
  readonly replayed: true | undefined;
}

/** Publishes events. Throws a SessionError: `session_not_found`, `idempotency_key_reused`, `stream_ended` and those that pass. */
export function publishEvents(
  publish: (events: readonly NewEvent[], idempotencyKey: string | undefined) => Promise<Stored>,
  body: z.output<typeof publication>,
  idempotencyKey: string | undefined,
): Promise<PublishAnswer> {
  const isArray = Array.isArray(body);
  const events = (isArray ? body : [body]).map(eventOf);
  return publish(events, idempotencyKey).then(({ ids, writers, replayed }) => {
    const [first = ""] = ids;
    return { answer: isArray ? { ids, writers } : { id: first, writers }, replayed };
  });
}

/** Ends the stream, after one last event if there is one. Throws a SessionError: `session_not_found`, `message_channel_full`. */
export function endStream(
  host: SessionHost,
  caller: Caller,
  id: SessionId,
  body: z.output<typeof lastEvent>,
): Promise<StreamEnd> {
  return host.as(caller).endStream(id, "data" in body ? eventOf(body) : undefined);
}

/**
 * Answers with the stream, or with a page of events if the request prefers JSON. Its `Last-Event-ID`
 * resumes. Throws a SessionError: `session_not_found`, `too_many_writers`, `invalid_request`.
 */
export async function followEvents(
  { host, config, log }: Pick<Service, "host" | "config" | "log">,
  caller: Caller,
  id: SessionId,
  request: Request,
  query: StreamQuery,
): Promise<Response> {
  const sessions = host.as(caller);
  const asJson = prefersJson(request.headers.get("accept") ?? undefined);
  const headers = { ...(asJson ? PAGE_HEADERS : STREAM_HEADERS), ...VARY };
  if (request.method === "HEAD") {
    const { ended, lastEventId } = await sessions.read(id, false);
    const isOver = ended && lastEventId === lastEventIdOf(request, query);
    return isOver && !asJson ? noContent() : new Response(null, { headers });
  }
  if (asJson) {
    const page = await readEvents(host, caller, id, query, lastEventIdOf(request, query));
    return new Response(JSON.stringify(page), { headers });
  }
  const socket = await sessions.subscribe(id, startOf(request, query));
  if (!socket) return noContent();
  const body = bridge(socket, {
    keepaliveMs: config.keepaliveMs,
    bufferBytes: config.streamBufferBytes,
    onCut: (reason) => log.info("reader.cut", { session: redactSessionId(id), reason }),
  });
  return new Response(body, { headers });
}

/** A page of events, from the earliest that is retained, or after an event. Throws as `followEvents`. */
export function readEvents(
  host: SessionHost,
  caller: Caller,
  id: SessionId,
  { limit, wait, after: asked, touch }: Pick<StreamQuery, "limit" | "wait" | "after" | "touch">,
  lastEventId?: string,
): Promise<EventPage> {
  const after = asked ?? lastEventId;
  const query = {
    limit,
    ...(after !== undefined && { after }),
    ...(touch === "false" && { touch: false }),
  };
  return readPage(host.as(caller), id, query, wait * 1000);
}

/** A ticket, with its URL under `base`. Throws a SessionError: `session_not_found`, or `not_found` while tickets are off. */
export async function createTicket(
  { host, access }: Pick<Service, "host" | "access">,
  caller: Caller,
  id: SessionId,
  base: string,
): Promise<Ticket> {
  const tickets = access.tickets();
  if (!tickets) {
    throw new SessionError("not_found", "Tickets are off: TICKET_SECRET is not set.");
  }
  const { subject } = await host.as(caller).read(id, false);
  const expiresAt = access.now() + access.settings.ticketTtlMs;
  const ticket = await tickets.sign({ session: id, subject, expiresAt });
  // A page of another origin would look for a path on its own.
  const url = `${base}/v1/sessions/${id}/events?ticket=${ticket}`;
  return { ticket, expiresAt: instant(expiresAt), url };
}

function eventOf({ event, data }: { event?: string | undefined; data?: unknown }): NewEvent {
  return {
    // A lone surrogate has no UTF-8, so the log would replay other text than readers got at first.
    ...(event !== undefined && { event: event.toWellFormed() }),
    data: (typeof data === "string" ? data : JSON.stringify(data)).toWellFormed(),
  };
}

/** Tells an EventSource to stop. A cache must not tell that of a session made anew under the id. */
function noContent(): Response {
  const headers = { "cache-control": STREAM_HEADERS["cache-control"] };
  return new Response(null, { status: 204, headers });
}

/** The header wins over the query: it is newer, because a client's URL stays the same when it reconnects. */
function lastEventIdOf(request: Request, query: StreamQuery): string | undefined {
  const asked = query.after || query.lastEventId || query.lastEventID || query.last_event_id;
  return request.headers.get("last-event-id") || asked || undefined;
}

function startOf(request: Request, query: StreamQuery): StreamStart {
  const lastEventId = lastEventIdOf(request, query);
  if (lastEventId !== undefined) return { kind: "after", lastEventId };
  return { kind: query.from === "earliest" ? "earliest" : "queued" };
}
