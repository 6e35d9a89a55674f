import { expect, it, vi } from "vitest";
import { call } from "../../../../src/gateway/upstream/call.ts";
import type { Upstream } from "../../../../src/gateway/upstream/upstream.ts";

it("sends nothing for a call that was given up before", async () => {
  const send = vi.fn(async () => new Response());
  const replica = { url: "https://upstream.invalid/mcp", send };
  const upstream: Upstream = {
    name: "default",
    replicas: [replica],
    headers: {},
    timeoutMs: 1000,
    forwardAuthorization: false,
  };
  const given = { method: "POST", body: "{}" } as const;
  await expect(call(upstream, replica, given, { signal: AbortSignal.abort() })).rejects.toThrow();
  expect(send).not.toHaveBeenCalled();
  (await call(upstream, replica, given)).discard();
  expect(send).toHaveBeenCalledOnce();
});
