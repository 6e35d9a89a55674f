/** Sends a task's call to a server that keeps sessions: over the bridge, in the session of its owner. */
import type { Caller } from "../../core/caller.ts";
import { bridged } from "../eras/bridged.ts";
import type { GatewayParts } from "../request.ts";
import type { OverBridge, RequestParts, Upstream } from "../upstream/upstream.ts";

export function overBridge(parts: GatewayParts): OverBridge {
  return (name, principal, { body = "", headers, signal }) => {
    const upstream = parts.upstreams.get(name);
    if (!upstream) throw new Error("the upstream is not configured any more");
    const caller: Caller = { subject: principal, admin: false };
    const request = new Request("https://task.invalid/", {
      method: "POST",
      headers: { ...headers, ...credential(upstream, headers) },
      ...(signal && { signal: signal.platform }),
    });
    return bridged({ parts, request, upstream, sessions: parts.host.as(caller), caller }, body);
  };
}

/** The credential stands where the client's would, for it to be sent on. */
function credential(
  { forwardAuthorization: name }: Upstream,
  { authorization }: RequestParts["headers"],
): Record<string, string> {
  return name === false || authorization === undefined ? {} : { [name]: authorization };
}

/** The upstream as a task's call sees it: its one replica is the bridge. */
export function upstreamOverBridge(
  upstream: Upstream,
  principal: string,
  bridge: OverBridge,
): Upstream {
  const url = upstream.replicas[0]?.url ?? "";
  const send = (request: RequestParts) => bridge(upstream.name, principal, request);
  return { ...upstream, headers: {}, replicas: [{ url, send }] };
}
