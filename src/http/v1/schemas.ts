/** The schemas of `/v1`: they validate requests and describe both sides in the OpenAPI document. */
import * as z from "zod";
import { EVENT_ID } from "../../core/event-id.ts";
import { parseSessionId } from "../../core/id.ts";
import {
  DEFAULT_LIST_LIMIT,
  DEFAULT_PAGE_EVENTS,
  MAX_EVENT_NAME_LENGTH,
  MAX_EVENTS_PER_PUBLISH,
  MAX_LIST_LIMIT,
  MAX_PAGE_EVENTS,
  MAX_SUBJECT_LENGTH,
  MAX_TTL_MS,
  MAX_WAIT_SECONDS,
  MIN_TTL_MS,
  RESERVED_EVENT_NAMES,
} from "../../core/limits.ts";
import { isSafeFieldValue } from "../../wire/sse-frame.ts";
import { OVERFLOWS, SESSION_TYPES } from "../../core/content.ts";

/**
 * Any JSON of a session or an event. A number is an IEEE 754 double (RFC 8259, section 6).
 * `JSON.parse` turns a larger number into Infinity, which JSON would write as null, so the schema
 * refuses it and names its place.
 */
export function jsonValue() {
  return z.unknown().superRefine((value, context) => {
    const path = pathToInfinity(value);
    if (!path) return;
    const message = "is a number too large to be held (an IEEE 754 double)";
    context.addIssue({ code: "custom", path, message, input: value });
  });
}

/** A schema as JSON Schema, of what a client sends. */
export function jsonSchema(
  schema: z.core.$ZodType,
  instead: (part: z.core.$ZodType) => z.core.JSONSchema.BaseSchema | undefined = () => undefined,
): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: "input",
    override({ zodSchema, jsonSchema }) {
      const other = instead(zodSchema);
      if (!other) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Object.assign(jsonSchema, other);
    },
  });
  return rest;
}

/** The path to an infinite number in a value, or undefined. The reader of bodies bounds the recursion. */
export function pathToInfinity(value: unknown): PropertyKey[] | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : [];
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return firstPath(value.keys(), value);
  return firstPath(Object.keys(value), value as Readonly<Record<string, unknown>>);
}

function firstPath<K extends PropertyKey>(
  keys: Iterable<K>,
  value: Readonly<Record<K, unknown>>,
): PropertyKey[] | undefined {
  for (const key of keys) {
    const path = pathToInfinity(value[key]);
    if (path) return [key, ...path];
  }
  return undefined;
}

const LEAST_SECONDS = MIN_TTL_MS / 1000;
const MOST_SECONDS = MAX_TTL_MS / 1000;

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
const subject = z
  .string({ error: ({ input }) => (input === undefined ? "is required" : undefined) })
  .min(1)
  .max(MAX_SUBJECT_LENGTH)
  .refine((text) => text.isWellFormed(), "must not hold half a surrogate pair")
  .meta({ description: "The owner of the session" });

const overflow = z.enum(OVERFLOWS).meta({
  description:
    "Where the log is full of events that nobody has read: refuse, the default, has publishing answer 503; trim drops the oldest",
});

export const newSession = z.strictObject({
  id: sessionId.optional(),
  type: z.enum(SESSION_TYPES).optional(),
  metadata: metadata.optional(),
  data: jsonValue().optional().meta({ description: "Any JSON" }),
  ttlSeconds: ttlSeconds.optional(),
  maxLifetimeSeconds: maxLifetimeSeconds.optional(),
  subject: subject.optional(),
  overflow: overflow.optional(),
});

export const sessionPatch = z.strictObject({
  metadata: z.record(z.string(), z.string().nullable()).nullable().optional(),
  data: jsonValue().optional().meta({ description: "A merge patch on the data; null removes it" }),
  ttlSeconds: ttlSeconds.nullable().optional(),
  overflow: overflow.nullable().optional(),
});

const instant = z.string().meta({ format: "date-time" });

export const session = z.object({
  id: z.string().meta({ format: "uuid" }),
  type: z.string(),
  createdAt: instant,
  updatedAt: instant,
  expiresAt: instant,
  ttlSeconds: z.number(),
  maxLifetimeSeconds: z.number().optional(),
  metadata,
  data: z.unknown().optional(),
  subject: z.string().optional(),
  connected: z.boolean().meta({ description: "Whether a writer is attached" }),
  writers: z.number().int(),
  lastEventId: z
    .string()
    .optional()
    .meta({ description: "Of an ended stream it is that of the `ended` frame" }),
  overflow: z.enum(OVERFLOWS),
  ended: z.boolean().meta({ description: "Whether the stream is complete" }),
});

export const newEvent = z.strictObject({
  event: z
    .string()
    .min(1)
    .max(MAX_EVENT_NAME_LENGTH)
    .refine(isSafeFieldValue, "must not hold CR, LF or NUL")
    .refine((name) => !RESERVED_EVENT_NAMES.includes(name), {
      error: ({ input }) => `must not be ${String(input)}, which is reserved`,
    })
    .optional()
    .meta({ not: { enum: RESERVED_EVENT_NAMES } }),
  data: jsonValue()
    .refine((data) => data !== undefined, "is required")
    .meta({ description: "Any JSON; a string is sent as it is" }),
});

export const lastEvent = z
  .union([newEvent, z.strictObject({})])
  .meta({ description: "An empty object is as no body: no last event" });

export const streamEnd = z.object({
  id: z.string().meta({ description: "The id of the `ended` frame" }),
});

export const publication = z.union([
  newEvent,
  z
    .array(newEvent)
    .min(1, "an array must hold an event")
    .max(MAX_EVENTS_PER_PUBLISH, `an array may hold at most ${MAX_EVENTS_PER_PUBLISH} events`),
]);

export const published = z.union([
  z.object({ id: z.string(), writers: z.number().int() }),
  z.object({ ids: z.array(z.string()), writers: z.number().int() }),
]);

export const readQuery = z.object({
  touch: z
    .enum(["true", "false"])
    .optional()
    .meta({ description: "false: look without extending the session's life" }),
});

const filter = {
  type: z.enum(SESSION_TYPES).exactOptional().meta({ description: "Only sessions of this type" }),
  subject: subject
    .exactOptional()
    .meta({ description: "Only this subject's sessions; another's than one's own needs `admin`" }),
};

/** Reads decimal digits only: `Number` would accept `0x10` and `1e2` too. */
function decimal(value: unknown): unknown {
  return typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
}

/** As `decimal`, also with a fraction. */
function decimalFraction(value: unknown): unknown {
  return typeof value === "string" && /^\d+\.\d+$/.test(value) ? Number(value) : decimal(value);
}

/** A whole number from 1 to `most`. */
function count(most: number) {
  return z.preprocess(
    decimal,
    z.number(`must be a number from 1 to ${most}, in decimal digits`).int().min(1).max(most),
  );
}

/** Strict, like all queries over many sessions: ignoring a misspelt filter would count or list all sessions. */
export const listQuery = z.strictObject({
  ...filter,
  limit: count(MAX_LIST_LIMIT)
    .prefault(DEFAULT_LIST_LIMIT)
    .meta({ description: "Sessions in the page" }),
  cursor: z
    .string()
    .exactOptional()
    .meta({ description: "Where to go on: that of the page before" }),
});

export const countQuery = z.strictObject(filter);

export const revokeQuery = z.strictObject({
  subject: subject
    .exactOptional()
    .meta({ description: "The owner of the sessions that end; an admin must name one" }),
});

export const sessionEntry = z.object({
  id: z.string().meta({ format: "uuid" }),
  type: z.string(),
  createdAt: instant,
  expiresAt: instant.meta({ description: "When it ends unless used; follows use coarsely" }),
  subject: z.string().optional(),
});

const partial = z
  .literal(true)
  .optional()
  .meta({ description: "A part of the directory did not answer: there may be more" });

export const sessionList = z.object({
  sessions: z.array(sessionEntry),
  cursor: z.string().optional().meta({ description: "Absent on the last page" }),
  partial,
});

export const sessionCount = z.object({ count: z.number().int(), partial });

export const revoked = z.object({
  deleted: z.number().int().meta({ description: "Sessions found; many end in the background" }),
  partial,
});

const lastEventId = z.string().optional();

export const streamQuery = z.object({
  lastEventId: lastEventId.meta({ description: "As the Last-Event-ID header, which wins" }),
  lastEventID: lastEventId.meta({ description: "As lastEventId, which wins" }),
  last_event_id: lastEventId.meta({ description: "As lastEventId, which wins" }),
  after: z.string().regex(EVENT_ID, "must be the id of an event").exactOptional().meta({
    description:
      "The events after this one. Wins over lastEventId, and, for JSON, over Last-Event-ID",
  }),
  limit: count(MAX_PAGE_EVENTS)
    .prefault(DEFAULT_PAGE_EVENTS)
    .meta({ description: "JSON: events at most" }),
  wait: z
    .preprocess(
      decimalFraction,
      z
        .number(`must be a number of seconds from 0 to ${MAX_WAIT_SECONDS}, in decimal digits`)
        .min(0)
        .max(MAX_WAIT_SECONDS),
    )
    .prefault(0)
    .meta({ description: "JSON: seconds to wait for an event where there is none yet" }),
  from: z.enum(["earliest"]).optional().meta({ description: "Replay all that is retained" }),
  ticket: z
    .string()
    .optional()
    .meta({ description: "A ticket for this session, in place of the Authorization header" }),
});

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

export const eventPage = z.object({
  events: z.array(
    z.object({
      id: z.string(),
      event: z.string().optional(),
      data: z.string().meta({
        description: "The text that a stream sends, but with its line breaks as published",
      }),
    }),
  ),
  lastEventId: z.string().meta({ description: "The next page is the one after this" }),
  ended: z.boolean().meta({ description: "The stream is complete, and this is its last page" }),
  gap: gap.optional(),
});

export const ticket = z.object({
  ticket: z.string().meta({ description: "Goes into the stream's URL, as `ticket`" }),
  expiresAt: instant,
  url: z.string().meta({ description: "The stream's URL with the ticket in it; absolute" }),
});

export const problem = z.object({
  type: z.string(),
  title: z.string(),
  status: z.number().int(),
  detail: z.string(),
  code: z.string(),
});
