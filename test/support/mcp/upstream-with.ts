import type { Replica, Upstream } from "../../../src/gateway/upstream/upstream.ts";

/** An upstream as a configuration without options makes it, of one replica that sends by this function. */
export function upstreamWith(
  send: Replica["send"],
): Upstream & { readonly replicas: readonly [Replica] } {
  return {
    name: "default",
    replicas: [{ url: "https://upstream.invalid/mcp", send }],
    headers: {},
    timeoutMs: 1000,
    silenceMs: 600_000,
    callMs: 3_600_000,
    forwardAuthorization: false,
  };
}
