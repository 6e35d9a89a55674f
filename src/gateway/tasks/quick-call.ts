/** A tool call that has not taken long enough to be a task: it is stored nowhere, and its answer goes back as it comes. */
import { GATEWAY_KEYS, SESSION_TYPE_TASK } from "../../core/content.ts";
import type { SessionContent } from "../../core/host.ts";
import type { SessionId } from "../../core/id.ts";
import { MAX_TASK_TOOL_LENGTH } from "../../core/limits.ts";
import type { TaskSettings } from "../../config/upstreams.ts";
import type { Hold } from "../../http/held-bytes.ts";
import type { Failure } from "../contract.ts";
import { shorten } from "../../wire/shorten.ts";
import type { RequestId } from "../json-rpc.ts";
import { FAILURES } from "../upstream/failure.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { resumedAfter } from "./call-routes.ts";
import type { TaskAnswer, TaskAsk } from "./contract.ts";
import { QuickAnswer } from "./quick-answer.ts";
import { withSession, type StoredCall } from "./store.ts";
import { callToSend, isAnswerTo, progressIn } from "./text.ts";
import { UpstreamCall, type Heard, type Run } from "./upstream-call.ts";

interface QuickCallParts {
  readonly ask: TaskAsk & { readonly kind: "call" };
  readonly taskId: SessionId;
  readonly owner: string | undefined;
  readonly upstream: Upstream;
  readonly settings: TaskSettings;
  readonly abort: AbortController;
  readonly hold: Hold;
  readonly limits: { readonly bodyMaxBytes: number; readonly streamBufferBytes: number };
  /** The call has taken so long that it becomes a task. */
  readonly late: (call: QuickCall) => void;
}

export class QuickCall implements Run {
  readonly #parts: QuickCallParts;
  readonly #client: QuickAnswer;
  readonly #isOwnToken: boolean;
  readonly #callOff: () => void;
  readonly call: UpstreamCall;
  readonly abort: AbortController;
  readonly token: string;
  /** As it is sent. */
  readonly body: string;
  /** The call has been answered, or has become a task. */
  isOver = false;
  /** It has taken so long that it is to become a task. */
  isLate = false;
  /** How far the upstream last said that it is. */
  progress: string | undefined;

  constructor(parts: QuickCallParts) {
    const { ask, upstream, settings, abort, limits, late } = parts;
    this.#parts = parts;
    this.abort = abort;
    const { body, token, isOwnToken } = callToSend(ask.body, `holdfast-${crypto.randomUUID()}`);
    this.body = body;
    this.token = token;
    this.#isOwnToken = isOwnToken;
    this.#client = new QuickAnswer(limits.streamBufferBytes, () => this.#left());
    this.call = new UpstreamCall({
      upstream,
      headers: ask.headers,
      signal: this.abort.signal,
      totalMs: settings.afterMs + settings.ttlMs,
      bodyMaxBytes: limits.bodyMaxBytes,
      resumesAfter: resumedAfter(ask),
    });
    const timeUp = setTimeout(() => this.#timeUp(), upstream.timeoutMs);
    const grown = setTimeout(() => {
      this.isLate = true;
      if (!this.isOver) late(this);
    }, settings.afterMs);
    this.#callOff = () => {
      clearTimeout(timeUp);
      clearTimeout(grown);
    };
  }

  get answer(): Promise<TaskAnswer> {
    return this.#client.answer;
  }

  get upstream(): Upstream {
    return this.#parts.upstream;
  }

  get settings(): TaskSettings {
    return this.#parts.settings;
  }

  get taskId(): SessionId {
    return this.#parts.taskId;
  }

  get owner(): string | undefined {
    return this.#parts.owner;
  }

  get headers(): Run["headers"] {
    return this.#parts.ask.headers;
  }

  get id(): RequestId {
    return this.#parts.ask.id;
  }

  get ask(): QuickCallParts["ask"] {
    return this.#parts.ask;
  }

  /** The call as its task stores it. */
  toStore(now: number): StoredCall {
    const { call, taskId, ask, token, upstream, body } = this;
    const { ttlMs, pollIntervalMs } = this.settings;
    return {
      facts: { taskId, createdAt: now, ttlMs, pollIntervalMs },
      upstream: upstream.name,
      url: call.url ?? upstream.replicas[0]?.url ?? "",
      body,
      headers: callHeaders(ask.headers),
      token,
      ...(ask.principal !== undefined && { principal: ask.principal }),
    };
  }

  /** The session of its task. */
  toSession(stored: StoredCall): SessionContent {
    const { upstream, owner, ask } = this;
    const { ttlMs } = stored.facts;
    const taskCall = withSession(stored);
    return {
      type: SESSION_TYPE_TASK,
      metadata: {
        [GATEWAY_KEYS.upstream]: upstream.name,
        [GATEWAY_KEYS.tool]: shorten(ask.tool, MAX_TASK_TOOL_LENGTH),
      },
      ttlMs,
      maxLifetimeMs: ttlMs,
      overflow: "trim",
      ...(owner !== undefined && { subject: owner }),
      ...(taskCall !== undefined && { taskCall }),
    };
  }

  /** Passes on what the upstream says. Returns whether that was its answer. */
  take(heard: Heard): boolean {
    if (heard.kind === "whole") {
      this.#client.whole(heard);
      this.#over();
      return true;
    }
    for (const one of heard.messages) {
      const { text } = one;
      if (isAnswerTo(this, one)) {
        this.#client.end(text);
        this.#over();
        return true;
      }
      const progress = progressIn(text, this.token);
      this.progress = progress ?? this.progress;
      // The client has asked for no progress.
      if (!this.#isOwnToken || progress === undefined) this.#client.send(text);
    }
    return false;
  }

  /** There is no answer: what is under way is given up. */
  fail(failure: Failure): void {
    this.#client.fail(failure);
    this.#over();
    this.abort.abort();
  }

  /** The call has become a task, and its client is still to be told so. */
  becomesTask(): void {
    this.#over();
  }

  /** Tells the client of the task. `text` is a JSON-RPC response. */
  tell(text: string): void {
    this.#client.end(text);
  }

  #left(): void {
    if (this.isOver) return;
    this.#over();
    this.abort.abort();
  }

  #timeUp(): void {
    if (!this.isOver && !this.call.hasBegun) this.fail(FAILURES.timedOut);
  }

  #over(): void {
    this.isOver = true;
    this.#callOff();
    this.#parts.hold.release();
  }
}

/** The headers that say what a call is. The others may hold a credential, and belong to one request. */
function callHeaders(headers: Run["headers"]): Run["headers"] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("mcp-")));
}
