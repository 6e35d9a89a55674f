/** How many bytes of JSON each kind of body of `/v1` can need. */
import {
  JSON_BYTES_PER_EVENT_BYTE,
  MAX_EVENTS_PER_PUBLISH,
  MAX_SESSION_BODY_BYTES,
  MAX_SMALL_BODY_BYTES,
} from "../../core/limits.ts";
import type { BodyUse } from "../route.ts";

/** Metadata and data. */
export const SESSION_CONTENT: BodyUse = {
  name: "what a session may hold",
  described: `${MAX_SESSION_BODY_BYTES} bytes`,
  bytes: () => MAX_SESSION_BODY_BYTES,
};

export const ONE_EVENT = events(1, "what an event may hold");
export const MANY_EVENTS = events(MAX_EVENTS_PER_PUBLISH, "what a publish may hold");

function events(count: number, name: string): BodyUse {
  return {
    name,
    described: `${count * JSON_BYTES_PER_EVENT_BYTE} times EVENT_MAX_BYTES and ${MAX_SMALL_BODY_BYTES} bytes`,
    bytes: ({ eventMaxBytes }) =>
      count * eventMaxBytes * JSON_BYTES_PER_EVENT_BYTE + MAX_SMALL_BODY_BYTES,
  };
}
