/** One tool call at an upstream, and its answer: over every time that its stream breaks off and is taken up again. */
import { RPC_CODES, type WrittenMessage } from "../json-rpc.ts";
import { StreamedAnswer } from "../object/streamed-answer.ts";
import { failureIn, passedHeaders, sendStateless } from "../stateless.ts";
import { call, type Reply } from "../upstream/call.ts";
import { UpstreamError } from "../upstream/failure.ts";
import { replicaAt, type Upstream } from "../upstream/upstream.ts";
import type { CallNames } from "./text.ts";

type Headers = Readonly<Record<string, string>>;

/** A part of an upstream's answer. */
export type Heard =
  /** All of it. A text where it is JSON with a status of success. */
  | {
      readonly kind: "whole";
      readonly status: number;
      readonly headers: Headers;
      readonly body: string | ArrayBuffer | Uint8Array;
    }
  /** The messages of one chunk of a stream. */
  | { readonly kind: "messages"; readonly messages: readonly WrittenMessage[] };

/** A call that is under way at the upstream. */
export interface Run extends CallNames {
  readonly upstream: Upstream;
  readonly call: UpstreamCall;
  readonly abort: AbortController;
  /** With which it was sent. */
  readonly headers: Headers;
  /** The call's progress token, as JSON. */
  readonly token: string;
}

interface UpstreamCallParts {
  readonly upstream: Upstream;
  readonly headers: Headers;
  /** Gives the call up, which cancels it at the upstream. */
  readonly signal: AbortSignal;
  /** Milliseconds that it may take in all. */
  readonly totalMs: number;
  readonly bodyMaxBytes: number;
  /** A stream of the call is resumed after this event unless its events have ids. */
  readonly resumesAfter?: string | undefined;
}

export class UpstreamCall {
  readonly #parts: UpstreamCallParts;
  #url: string | undefined;
  #stream: StreamedAnswer | undefined;
  /** Whether the upstream has begun to answer with a stream. */
  hasBegun = false;

  constructor(parts: UpstreamCallParts) {
    this.#parts = parts;
  }

  /** The replica that has the call; undefined while none has answered. */
  get url(): string | undefined {
    return this.#url;
  }

  /** The stream can be taken up after this event, once what was heard last is handled. */
  get lastEventId(): string | undefined {
    return this.#stream?.lastEventId ?? this.#parts.resumesAfter;
  }

  /** Sends the call. Throws UpstreamError, also where the stream ends for good. */
  async *send(body: string): AsyncGenerator<Heard> {
    const { upstream, headers, signal, totalMs, bodyMaxBytes } = this.#parts;
    const options = { signal, totalMs, withinMs: totalMs };
    const { reply, replica } = await sendStateless(upstream, body, headers, options);
    this.#url = replica.url;
    const { ok, status } = reply;
    const failure = failureIn(reply, upstream);
    if (failure) {
      reply.discard();
      throw new UpstreamError(failure, { status });
    }
    if (ok && reply.isEventStream) return yield* this.#read(reply);
    const passed = passedHeaders(reply, upstream.forwardAuthorization);
    const whole =
      ok && reply.isJson ? await reply.text(bodyMaxBytes) : await reply.bytes(bodyMaxBytes);
    yield { kind: "whole", status, headers: passed, body: whole };
  }

  /** Takes up the stream of a call that was sent before, at this replica and after this event. */
  resume(url: string, lastEventId: string): AsyncGenerator<Heard> {
    this.#url = url;
    return this.#read(undefined, lastEventId);
  }

  async *#read(reply: Reply | undefined, after?: string): AsyncGenerator<Heard> {
    const { upstream, headers, signal, totalMs, bodyMaxBytes, resumesAfter } = this.#parts;
    this.hasBegun = true;
    this.#stream = new StreamedAnswer(
      reply,
      {
        limits: { bodyMaxBytes },
        // A long call may have nothing to say. Its time in all bounds it.
        silenceMs: totalMs,
        signal,
        resume: (lastEventId) => {
          const request = { method: "GET", lastEventId, headers } as const;
          return call(upstream, replicaAt(upstream, this.#url), request, { signal, totalMs });
        },
        brokeOff: () => undefined,
        // The call's time in all bounds this as well.
        maxResumes: Infinity,
      },
      after ?? resumesAfter,
    );
    for await (const messages of this.#stream.turns()) yield { kind: "messages", messages };
  }
}

/** The error of a task whose upstream's answer cannot be had, as JSON. */
export function errorText(message: string, code: number = RPC_CODES.internalError): string {
  return JSON.stringify({ code, message });
}
