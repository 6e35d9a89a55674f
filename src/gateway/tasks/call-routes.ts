/** The ways of a task's calls to their upstreams: straight, or over the bridge to a server that keeps sessions. */
import { memberText } from "../../wire/json-text.ts";
import type { OverBridge, Upstream, Upstreams } from "../upstream/upstream.ts";
import { tellBridge, upstreamOverBridge, type BridgedCall } from "./over-bridge.ts";
import type { StoredCall } from "./store.ts";
import { AT_BRIDGE } from "./task.ts";
import { repeatsBegin } from "./text.ts";
import { UpstreamCall, type Run } from "./upstream-call.ts";

export interface CallRoutesParts {
  readonly openUpstreams: () => Upstreams;
  /** Sends calls to servers that keep sessions; absent: there is no way to them from here. */
  readonly overBridge: OverBridge | undefined;
}

type Call = Pick<StoredCall, "upstream" | "principal" | "body">;

export class CallRoutes {
  readonly #parts: CallRoutesParts;
  #upstreams: Upstreams | undefined;

  constructor(parts: CallRoutesParts) {
    this.#parts = parts;
  }

  configured(name: string): Upstream | undefined {
    this.#upstreams ??= this.#parts.openUpstreams();
    return this.#upstreams.get(name);
  }

  /**
   * The upstream as a call sees it; undefined if it is not configured any more. To abort `signal` cancels the call
   * also where it is reached over the bridge.
   */
  to(
    call: Call,
    task: BridgedCall["task"],
    headers: StoredCall["headers"],
    signal: AbortSignal,
  ): Upstream | undefined {
    if (call.principal === undefined) return this.configured(call.upstream);
    const bridged = this.#bridged(call, task);
    if (!bridged) return undefined;
    signal.addEventListener("abort", () => void tellBridge("cancel", bridged, headers));
    return upstreamOverBridge(bridged);
  }

  /** The call of a task, which its caller then sends or takes up; undefined if its upstream is not configured any more. */
  run(stored: StoredCall, headers: StoredCall["headers"], bodyMaxBytes: number): Run | undefined {
    const abort = new AbortController();
    const { signal } = abort;
    const task = taskOf(stored);
    const upstream = this.to(stored, task, headers, signal);
    if (!upstream) return undefined;
    const bounds = { totalMs: task.withinMs, bodyMaxBytes, resumesAfter: resumedAfter(stored) };
    const call = new UpstreamCall({ upstream, headers, signal, ...bounds });
    const { token, body } = stored;
    const names = { id: memberText(body, "id") ?? "null", repeatsBegin: repeatsBegin(task.id) };
    return { upstream, call, abort, headers, ...names, token };
  }

  /** Cancels a call that nobody has under way here, though its server may. */
  cancel(call: StoredCall): void {
    const bridged = this.#bridged(call, taskOf(call));
    if (bridged) void tellBridge("cancel", bridged, call.headers);
  }

  /** The answer to a call is stored, or is its client's. */
  taken(call: Call, task: BridgedCall["task"], headers: StoredCall["headers"]): void {
    const bridged = this.#bridged(call, task);
    if (bridged) void tellBridge("taken", bridged, headers);
  }

  #bridged(
    { upstream: name, principal, body }: Call,
    task: BridgedCall["task"],
  ): BridgedCall | undefined {
    const upstream = this.configured(name);
    const { overBridge: bridge } = this.#parts;
    if (!upstream || !bridge || principal === undefined) return undefined;
    return { upstream, principal, task, body, bridge };
  }
}

/** A call that has become a task, as the bridge knows it. */
export function taskOf({ facts }: StoredCall): BridgedCall["task"] {
  const { taskId: id, createdAt, ttlMs } = facts;
  return { id, afterMs: 0, withinMs: Math.max(1, createdAt + ttlMs - Date.now()) };
}

/** The event after which a call's stream is resumed that has given no event id; undefined: it cannot be resumed. */
export function resumedAfter({ principal }: { readonly principal?: string }): string | undefined {
  return principal === undefined ? undefined : AT_BRIDGE;
}
