/**
 * The schemas of the bodies of `/v1`: they validate requests and describe both sides in the OpenAPI
 * document, each with an example.
 */
import * as z from "zod";
import { parseSessionId } from "../../core/id.ts";
import {
  MAX_EVENT_NAME_LENGTH,
  MAX_EVENTS_PER_PUBLISH,
  MAX_SUBJECT_LENGTH,
  MAX_TTL_MS,
  MIN_TTL_MS,
  RESERVED_EVENT_NAMES,
} from "../../core/limits.ts";
import { isSafeFieldValue } from "../../wire/sse-frame.ts";
import { NEW_SESSION_TYPES, OVERFLOWS } from "../../core/content.ts";
import { jsonValue } from "./json-value.ts";

const LEAST_SECONDS = MIN_TTL_MS / 1000;
const MOST_SECONDS = MAX_TTL_MS / 1000;

/** The session of README's five lines. */
export const EXAMPLE_ID = "5e551011-0000-4000-8000-000000000001";

/** Values that the examples share. */
const EXAMPLE = {
  metadata: { user: "ada" },
  createdAt: "2026-11-29T12:00:00.000Z",
  expiresAt: "2026-11-29T14:00:00.000Z",
  eventId: "0mwsb9seoysobdq-000000000001-0",
  event: { event: "greeting", data: { hello: "world" } },
};

const sessionId = z
  .string()
  .refine((text) => parseSessionId(text) !== undefined, "must be a UUID")
  .meta({
    format: "uuid",
    description: "A UUID: 36 characters, 32 hex digits, in braces, or a urn:uuid:",
  });

const metadata = z.record(z.string(), z.string()).meta({ description: "Labels, strings only" });

const ttlSeconds = z
  .number()
  .min(LEAST_SECONDS)
  .max(MOST_SECONDS)
  .meta({ description: "Seconds that the session lives after its last use" });

const maxLifetimeSeconds = z
  .number()
  .refine((n) => n === 0 || n >= LEAST_SECONDS, `must be 0 (none) or at least ${LEAST_SECONDS}`)
  .max(MOST_SECONDS)
  .meta({ description: "Seconds that the session lives at most, whatever its use; 0 is no limit" });

/** Half a surrogate pair has no UTF-8, so no URL and no query of the directory could name such a subject. */
export const subject = z
  .string({ error: ({ input }) => (input === undefined ? "is required" : undefined) })
  .min(1)
  .max(MAX_SUBJECT_LENGTH)
  .refine((text) => text.isWellFormed(), "must not hold half a surrogate pair")
  .meta({ description: "The owner of the session" });

const overflow = z.enum(OVERFLOWS).meta({
  description:
    "Where the log is full of events that nobody has read: refuse, the default, has publishing answer 503; trim drops the oldest",
});

export const newSession = z
  .strictObject({
    id: sessionId.optional(),
    type: z
      .enum(NEW_SESSION_TYPES)
      .optional()
      .meta({ description: "The kind of session; `mcp` if it is absent" }),
    metadata: metadata.optional(),
    data: jsonValue().optional().meta({ description: "Any JSON" }),
    ttlSeconds: ttlSeconds.optional(),
    maxLifetimeSeconds: maxLifetimeSeconds.optional(),
    subject: subject.optional(),
    overflow: overflow.optional(),
  })
  .meta({
    description: "The content of a session that is made or replaced; every member may be left out",
    examples: [{ id: EXAMPLE_ID, metadata: EXAMPLE.metadata, ttlSeconds: 7200 }],
  });

export const sessionPatch = z
  .strictObject({
    metadata: z
      .record(z.string(), z.string().nullable())
      .nullable()
      .optional()
      .meta({ description: "Labels to set; null removes one, or all of them" }),
    data: jsonValue()
      .optional()
      .meta({ description: "A merge patch on the data; null removes it" }),
    ttlSeconds: ttlSeconds
      .nullable()
      .optional()
      .meta({ description: "As in a new session; null: the service's default" }),
    overflow: overflow
      .nullable()
      .optional()
      .meta({ description: "As in a new session; null: refuse" }),
  })
  .meta({
    description: "A merge patch (RFC 7396): an absent member stays as it is, null removes one",
    examples: [{ metadata: { user: null, step: "2" }, ttlSeconds: 600 }],
  });

const instant = z.string().meta({ format: "date-time" });
const createdAt = instant.meta({ description: "When the session was made" });
const ownId = z.string().meta({ format: "uuid", description: "The id of the session" });
const type = z.string().meta({ description: "The kind of session" });
const owner = z
  .string()
  .optional()
  .meta({ description: "The owner of the session; absent: nobody's" });
const eventId = z.string().meta({ description: "The id of the event" });
const writers = z.number().int().meta({ description: "How many readers are attached" });

export const session = z
  .object({
    id: ownId,
    type,
    createdAt,
    updatedAt: instant.meta({
      description: "The last change of its type, metadata, data or lifetime",
    }),
    expiresAt: instant.meta({ description: "When it ends unless it is used" }),
    ttlSeconds: z.number().meta({ description: "Seconds that it lives after its last use" }),
    maxLifetimeSeconds: z
      .number()
      .optional()
      .meta({ description: "Seconds that it lives at most, whatever its use; absent: no limit" }),
    metadata,
    data: z.unknown().optional().meta({ description: "Any JSON; absent: it has none" }),
    subject: owner,
    connected: z.boolean().meta({ description: "Whether a reader is attached" }),
    writers,
    lastEventId: z.string().optional().meta({
      description: "The id of its last event. Of an ended stream it is that of the `ended` frame",
    }),
    overflow: z
      .enum(OVERFLOWS)
      .meta({ description: "How the log treats a publish while it is full of unread events" }),
    ended: z.boolean().meta({ description: "Whether the stream is complete" }),
  })
  .meta({
    description: "A session as it is",
    examples: [
      {
        id: EXAMPLE_ID,
        type: "mcp",
        createdAt: EXAMPLE.createdAt,
        updatedAt: EXAMPLE.createdAt,
        expiresAt: EXAMPLE.expiresAt,
        ttlSeconds: 7200,
        metadata: EXAMPLE.metadata,
        connected: true,
        writers: 1,
        lastEventId: EXAMPLE.eventId,
        overflow: "refuse",
        ended: false,
      },
    ],
  });

export const newEvent = z
  .strictObject({
    event: z
      .string()
      .min(1)
      .max(MAX_EVENT_NAME_LENGTH)
      .refine(isSafeFieldValue, "must not hold CR, LF or NUL")
      .refine((name) => !RESERVED_EVENT_NAMES.includes(name), {
        error: ({ input }) => `must not be ${String(input)}, which is reserved`,
      })
      .optional()
      .meta({
        description:
          "The event's name, without CR, LF and NUL; absent: readers take it for `message`",
        not: { enum: RESERVED_EVENT_NAMES },
      }),
    data: jsonValue()
      .refine((data) => data !== undefined, "is required")
      .meta({ description: "Any JSON; a string is sent as it is" }),
  })
  .meta({ description: "An event to publish", examples: [EXAMPLE.event] });

export const lastEvent = z.union([newEvent, z.strictObject({})]).meta({
  description: "An empty object is as no body: no last event",
  examples: [{ event: "done", data: null }],
});

export const streamEnd = z
  .object({ id: z.string().meta({ description: "The id of the `ended` frame" }) })
  .meta({ examples: [{ id: "0mwsb9seoysobdq-000000000002-0" }] });

export const publication = z
  .union([
    newEvent,
    z
      .array(newEvent)
      .min(1, "an array must hold an event")
      .max(MAX_EVENTS_PER_PUBLISH, `an array may hold at most ${MAX_EVENTS_PER_PUBLISH} events`),
  ])
  .meta({ examples: [EXAMPLE.event, [EXAMPLE.event, { data: "plain text" }]] });

export const published = z
  .union([
    z.object({ id: eventId, writers }).meta({ description: "One event was published" }),
    z
      .object({
        ids: z.array(z.string()).meta({ description: "The ids of the events, in their order" }),
        writers,
      })
      .meta({ description: "An array of events was published" }),
  ])
  .meta({ examples: [{ id: EXAMPLE.eventId, writers: 1 }] });

export const sessionEntry = z
  .object({
    id: ownId,
    type,
    createdAt,
    expiresAt: instant.meta({ description: "When it ends unless used; follows use coarsely" }),
    subject: owner,
  })
  .meta({ description: "A session in a list" });

const partial = z
  .literal(true)
  .optional()
  .meta({ description: "A part of the directory did not answer: there may be more" });

export const sessionList = z
  .object({
    sessions: z.array(sessionEntry).meta({ description: "Newest first" }),
    cursor: z
      .string()
      .optional()
      .meta({ description: "Where the next page begins; absent on the last page" }),
    partial,
  })
  .meta({
    examples: [
      {
        sessions: [
          {
            id: EXAMPLE_ID,
            type: "mcp",
            createdAt: EXAMPLE.createdAt,
            expiresAt: EXAMPLE.expiresAt,
            subject: "ada",
          },
        ],
      },
    ],
  });

export const sessionCount = z
  .object({ count: z.number().int().meta({ description: "How many sessions there are" }), partial })
  .meta({ examples: [{ count: 1 }] });

export const revoked = z
  .object({
    deleted: z.number().int().meta({ description: "Sessions found; many end in the background" }),
    partial,
  })
  .meta({ examples: [{ deleted: 1 }] });

export const gap = z
  .object({
    requested: z.string().nullable().meta({
      description: "The id that the client asked for; null where it sent none",
    }),
    earliest: z.string().nullable().meta({
      description: "The first event that is retained; null where there is none",
    }),
  })
  .meta({ description: "Events are missing before this; everything that is retained follows" });

export const eventPage = z
  .object({
    events: z
      .array(
        z.object({
          id: eventId,
          event: z.string().optional().meta({ description: "Its name, if it has one" }),
          data: z.string().meta({
            description: "The text that a stream sends, but with its line breaks as published",
          }),
        }),
      )
      .meta({ description: "Oldest first" }),
    lastEventId: z.string().meta({ description: "The next page is the one after this" }),
    ended: z.boolean().meta({ description: "The stream is complete, and this is its last page" }),
    gap: gap.optional(),
  })
  .meta({
    description: "Events as data",
    examples: [
      {
        events: [{ id: EXAMPLE.eventId, event: "greeting", data: '{"hello":"world"}' }],
        lastEventId: EXAMPLE.eventId,
        ended: false,
      },
    ],
  });

export const ticket = z
  .object({
    ticket: z.string().meta({ description: "Goes into the stream's URL, as `ticket`" }),
    expiresAt: instant.meta({ description: "Until when it opens the stream" }),
    url: z.string().meta({ description: "The stream's URL with the ticket in it; absolute" }),
  })
  .meta({
    examples: [
      {
        ticket: "TICKET",
        expiresAt: "2026-11-29T12:01:00.000Z",
        url: `http://localhost:8787/v1/sessions/${EXAMPLE_ID}/events?ticket=TICKET`,
      },
    ],
  });

export const problem = z
  .object({
    type: z.string().meta({ description: "The code as a URN: an identifier, not a page" }),
    title: z.string().meta({ description: "The kind of failure, the same for each code" }),
    status: z.number().int().meta({ description: "The HTTP status" }),
    detail: z.string().meta({ description: "The failure this time, for a person to read" }),
    code: z
      .string()
      .meta({ description: "Which error it is, for programs: each response lists its codes" }),
  })
  .meta({
    description: "An error (RFC 9457)",
    examples: [
      {
        type: "urn:holdfast:problem:session_not_found",
        title: "Session not found",
        status: 404,
        detail: "There is no session with this id, or it has ended.",
        code: "session_not_found",
      },
    ],
  });
