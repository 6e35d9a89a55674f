import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createApp } from "../../../src/app.ts";
import { readBody } from "../../../src/http/body.ts";
import { loadConfig } from "../../../src/config/service.ts";
import type { GatewayHost } from "../../../src/gateway/contract.ts";
import { BODY_MS } from "../../../src/core/limits.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A POST whose body begins and does not end. */
function half(headers: Record<string, string>): Request {
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(new TextEncoder().encode('{"ttlSeconds"')),
  });
  const url = "http://localhost/v1/sessions";
  return new Request(url, { method: "POST", body, headers, duplex: "half" } as RequestInit);
}

it.each([
  ["announced", { "content-length": "100" }],
  ["chunked", {}],
])(
  "a body that is %s and does not end is given up, and not before its time",
  async (_how, more) => {
    const settled = vi.fn();
    const reading = readBody(half(more), 1000).catch(settled);
    await vi.advanceTimersByTimeAsync(BODY_MS - 1);
    expect(settled).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    await reading;
    expect(settled).toHaveBeenCalledWith(
      expect.objectContaining({
        code: "invalid_request",
        message: "The body was not whole after 30 s.",
      }),
    );
  },
);

it("no timer is left of a body that came", async () => {
  const request = new Request("http://localhost/", { method: "POST", body: "{}" });
  expect((await readBody(request, 1000)).byteLength).toBe(2);
  expect(vi.getTimerCount()).toBe(0);
});

it("a route answers 400, and asks its host for nothing", async () => {
  const host = new Proxy({} as GatewayHost, {
    get: () => () => {
      throw new Error("nothing is to be asked for");
    },
  });
  const app = createApp(host, loadConfig({}));
  const headers = { "content-type": "application/json", host: "localhost" };
  const answer = app.request(half(headers));
  await vi.advanceTimersByTimeAsync(BODY_MS);
  expect([(await answer).status, await (await answer).json()]).toMatchObject([
    400,
    { code: "invalid_request", detail: "The body was not whole after 30 s." },
  ]);
});
