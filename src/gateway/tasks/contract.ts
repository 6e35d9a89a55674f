/** The calls from the Worker to a task's object, and their answers. */
import type { Failure } from "../failure.ts";
import type { RequestId } from "../json-rpc.ts";

type Headers = Readonly<Record<string, string>>;

export type TaskAsk =
  /** Sends a tool call to the upstream. Its session is made if it takes long, and belongs to the caller. */
  | {
      readonly kind: "call";
      readonly upstream: string;
      /** As the client sent it. */
      readonly body: string;
      readonly id: RequestId;
      /** The tool's name, for people who look at the session. */
      readonly tool: string;
      /** The client's headers that are sent on. */
      readonly headers: Headers;
      /** The owner under which the task is counted: the caller's subject, its credential or its address. Absent: the caller's subject. */
      readonly owner?: string;
      /** The server keeps sessions: the call is carried in the session of this principal. */
      readonly principal?: string;
    }
  | { readonly kind: "get"; readonly upstream: string }
  /** `answers` as JSON, by the task's keys. `headers` are sent on with a repeated call. */
  | {
      readonly kind: "update";
      readonly upstream: string;
      readonly answers: Readonly<Record<string, string>>;
      readonly headers: Headers;
    }
  | { readonly kind: "cancel"; readonly upstream: string }
  /** The client of the call has left before it was answered: nobody knows of its task. */
  | { readonly kind: "leave"; readonly upstream: string };

export type TaskAnswer =
  /** The whole answer to the call. */
  | {
      readonly kind: "whole";
      readonly status: number;
      readonly headers: Headers;
      readonly body: string | ArrayBuffer | Uint8Array;
    }
  /** The answer to the call comes on this stream of events. To cancel it cancels the call, unless it has become a task. */
  | { readonly kind: "stream"; readonly body: ReadableStream<Uint8Array> }
  | { readonly kind: "failed"; readonly failure: Failure }
  /** The task as JSON, a `DetailedTask`. Its changes follow on the session's stream after this event. */
  | { readonly kind: "task"; readonly text: string; readonly lastEventId: string }
  | { readonly kind: "done" };

/** The event of the session's stream that says how its task is. The data are a `DetailedTask`. */
export const STATUS_EVENT = "status";
