/**
 * The frames of an event stream, for the OpenAPI document. As in OpenAPI 3.2 each is an object whose
 * members are the fields of the frame.
 */
import * as z from "zod";
import { MAX_EVENT_NAME_LENGTH, RESERVED_EVENT_NAMES, RETRY_MS } from "../../core/limits.ts";
import { jsonSchema } from "./json-value.ts";
import { EXAMPLE_ID, gap } from "./schemas.ts";

const id = z.string().meta({
  description: "The frame's last field. A client that is cut sends it as Last-Event-ID",
});

const sessionData = jsonText(
  z.object({ id: z.string().meta({ format: "uuid", description: "The id of the session" }) }),
);

export const openingFrame = z
  .object({
    retry: z
      .number()
      .int()
      .meta({
        description: `Milliseconds: ${RETRY_MS}, and then a random time up to twice as long, which replaces it`,
      }),
    id: z.string().meta({ description: "The place where the stream starts" }),
  })
  .meta({ description: "The first frame of a stream, unless that begins with a gap" });

export const eventFrame = z
  .object({
    event: z
      .string()
      .max(MAX_EVENT_NAME_LENGTH)
      .optional()
      .meta({ description: "Its name, if it has one", not: { enum: RESERVED_EVENT_NAMES } }),
    data: z.string().meta({ description: "A string as it was published, or any other JSON" }),
    id,
  })
  .meta({ description: "An event that was published" });

export const gapFrame = z
  .object({
    retry: z
      .number()
      .int()
      .optional()
      .meta({ description: "As in the opening frame, in its place" }),
    event: z.literal("gap").meta({ description: "The name of the frame" }),
    data: jsonText(gap),
    id,
  })
  .meta({ description: "Events are missing here; everything that is retained follows" });

export const endedFrame = lastFrame("ended", "the stream is complete", { id });
export const expiredFrame = lastFrame("expired", "the session has expired");
export const deletedFrame = lastFrame("deleted", "the session was deleted");

export const streamFrames = [
  openingFrame,
  eventFrame,
  gapFrame,
  endedFrame,
  expiredFrame,
  deletedFrame,
] as const;

export const streamFrame = z
  .union(streamFrames)
  .meta({ description: "A frame of an event stream; comments, which keep it alive, are none" });

/** A stream from its beginning: an event, a comment that keeps it alive, and the end. */
export const STREAM_EXAMPLE = `retry: ${RETRY_MS}
id: 0mwsb9seoysobdq-000000000000-0
retry: 1426

event: greeting
data: {"hello":"world"}
id: 0mwsb9seoysobdq-000000000001-0

: keep-alive
event: ended
data: {"id":"${EXAMPLE_ID}"}
id: 0mwsb9seoysobdq-000000000002-0

`;

function lastFrame(event: string, why: string, more: z.ZodRawShape = {}) {
  return z
    .object({
      event: z.literal(event).meta({ description: "The name of the frame" }),
      data: sessionData,
      ...more,
    })
    .meta({ description: `The last frame: ${why}` });
}

/** Text that is JSON of a schema. */
function jsonText(schema: z.ZodType) {
  return z.string().meta({
    description: "JSON in one line",
    contentMediaType: "application/json",
    contentSchema: jsonSchema(schema),
  });
}
