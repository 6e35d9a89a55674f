/** The schemas of the queries of `/v1`: they validate them and describe them in the OpenAPI document. */
import * as z from "zod";
import { SESSION_TYPES } from "../../core/content.ts";
import { EVENT_ID } from "../../core/event-id.ts";
import {
  DEFAULT_LIST_LIMIT,
  DEFAULT_PAGE_EVENTS,
  MAX_LIST_LIMIT,
  MAX_PAGE_EVENTS,
  MAX_WAIT_SECONDS,
} from "../../core/limits.ts";
import { subject } from "./schemas.ts";

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
  touch: z.enum(["true", "false"]).optional().meta({
    description: "JSON: false: look without extending the session's life. A `wait` extends it",
  }),
  from: z.enum(["earliest"]).optional().meta({ description: "Replay all that is retained" }),
  ticket: z
    .string()
    .optional()
    .meta({ description: "A ticket for this session, in place of the Authorization header" }),
});
