/** Sends a task's call to a server that keeps sessions: over the bridge, in the session of its owner. */
import type { Caller } from "../../core/caller.ts";
import type { EraTask } from "../contract.ts";
import { bridged } from "../eras/bridged.ts";
import type { GatewayParts } from "../request.ts";
import type { OverBridge, RequestParts, Upstream } from "../upstream/upstream.ts";

export function overBridge(parts: GatewayParts): OverBridge {
  return (name, principal, task, { body = "", headers, signal }) => {
    const upstream = parts.upstreams.get(name);
    if (!upstream) throw new Error("the upstream is not configured any more");
    const caller: Caller = { subject: principal, admin: false };
    const request = new Request("https://task.invalid/", {
      method: "POST",
      headers: { ...headers, ...credential(upstream, headers) },
      ...(signal && { signal }),
    });
    const sessions = parts.host.as(caller);
    const call = { parts, request, headers: new Map(request.headers), upstream, sessions, caller };
    return bridged(call, body, undefined, task);
  };
}

/** The credential stands where the client's would, for it to be sent on. */
function credential(
  { forwardAuthorization: name }: Upstream,
  { authorization }: RequestParts["headers"],
): Record<string, string> {
  return name === false || authorization === undefined ? {} : { [name]: authorization };
}

/** A task's call to a server that keeps sessions. */
export interface BridgedCall {
  readonly upstream: Upstream;
  readonly principal: string;
  readonly task: Omit<EraTask, "verb">;
  /** As it was first sent: it says whose session carries the call. */
  readonly body: string;
  readonly bridge: OverBridge;
}

/** The upstream as a task's call sees it: its one replica is the bridge, which lets every stream be resumed. */
export function upstreamOverBridge({
  upstream,
  principal,
  task,
  body,
  bridge,
}: BridgedCall): Upstream {
  const url = upstream.replicas[0]?.url ?? "";
  const send = (request: RequestParts) =>
    request.method === "GET"
      ? bridge(upstream.name, principal, { ...task, verb: "resume" }, { ...request, body })
      : bridge(upstream.name, principal, { ...task, verb: "call" }, request);
  return { ...upstream, headers: {}, replicas: [{ url, send }] };
}

/**
 * Tells the session of a call. `cancel` cancels the call at the server: to leave the call's stream does not. `taken`
 * says that the answer is stored. Never rejects.
 */
export async function tellBridge(
  verb: "cancel" | "taken",
  { upstream, principal, task, body, bridge }: BridgedCall,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  const request = { method: "POST", headers, body } as const;
  const about = { ...task, verb } as const;
  await bridge(upstream.name, principal, about, request).catch(() => undefined);
}
