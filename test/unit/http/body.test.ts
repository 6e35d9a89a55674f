import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { createApp } from "../../../src/app.ts";
import { readBody } from "../../../src/http/body.ts";
import { loadConfig } from "../../../src/config/service.ts";
import type { GatewayHost } from "../../../src/gateway/contract.ts";
import { BODY_MS } from "../../../src/core/limits.ts";
import { bodies, HeldBytes } from "../../../src/http/held-bytes.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const KIB = 1024;
const LIMIT = { maxBytes: 1000 * KIB, name: "BODY_MAX_BYTES" };

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
    const reading = readBody(half(more), LIMIT, new HeldBytes().hold()).catch(settled);
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
  expect((await readBody(request, LIMIT, new HeldBytes().hold())).byteLength).toBe(2);
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

/** A POST whose body comes in chunks of 10 KiB, as `more` is called. */
function piecemeal(headers: Record<string, string> = {}) {
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const body = new ReadableStream<Uint8Array>({ start: (one) => void (controller = one) });
  const init = { method: "POST", body, headers, duplex: "half" } as RequestInit;
  const request = new Request("http://localhost/v1/sessions", init);
  const more = async (kib: number) => {
    for (let n = 0; n < kib; n += 10) controller?.enqueue(new Uint8Array(10 * KIB).fill(0x20));
    await vi.advanceTimersByTimeAsync(0);
  };
  return { request, more, end: () => controller?.close() };
}

it("a large body is counted as it comes, announced or not, and not before", async () => {
  for (const headers of [{}, { "content-length": String(900 * KIB) }]) {
    const held = new HeldBytes();
    const { request, more, end } = piecemeal(headers);
    const hold = held.hold();
    const reading = readBody(request, LIMIT, hold);
    await more(0);
    expect(held.held).toBe(0);
    await more(60);
    expect(held.held).toBe(0);
    await more(40);
    expect(held.held).toBe(100 * KIB);
    end();
    expect((await reading).byteLength).toBe(100 * KIB);
    expect(held.held).toBe(100 * KIB);
    hold.release();
    expect(held.held).toBe(0);
  }
});

it("a large body that there is no room for is refused as it comes; small ones go on", async () => {
  const held = new HeldBytes(250 * KIB);
  held.hold().grow(200 * KIB);
  const { request, more } = piecemeal();
  const hold = held.hold();
  const refused = expect(readBody(request, LIMIT, hold)).rejects.toMatchObject({
    code: "unavailable",
    status: 503,
    message: "Too many large bodies are under way; try again.",
  });
  await more(70);
  await refused;
  expect(request.body?.locked).toBe(false);
  hold.release();
  expect(held.held).toBe(200 * KIB);
  const small = new Request("http://localhost/", { method: "POST", body: "x".repeat(64 * KIB) });
  expect((await readBody(small, LIMIT, held.hold())).byteLength).toBe(64 * KIB);
});

it("a body that nobody waits for any more takes no room when it goes on", async () => {
  const held = new HeldBytes();
  const { request, more } = piecemeal();
  const hold = held.hold();
  const given = expect(readBody(request, LIMIT, hold)).rejects.toMatchObject({
    code: "invalid_request",
  });
  await more(100);
  await vi.advanceTimersByTimeAsync(BODY_MS);
  await given;
  hold.release();
  await more(100);
  expect(held.held).toBe(0);
});

it("a route answers 503 with Retry-After while there is no room, and changes nothing", async () => {
  const others = bodies.hold();
  others.grow(64 * KIB * KIB);
  const host = new Proxy({} as GatewayHost, {
    get: () => () => {
      throw new Error("nothing is to be asked for");
    },
  });
  // The gateway asks for a caller's sessions before it reads, which asks them for nothing.
  const as = () => host as never;
  const app = createApp(
    { ...host, as, checks: {} },
    loadConfig({}),
    undefined,
    new Map([["default", {} as never]]),
  );
  for (const [path, form] of [
    ["/v1/sessions", { code: "unavailable" }],
    ["/mcp", { error: { code: -32603 } }],
  ] as const) {
    const init = {
      method: "POST",
      headers: { "content-type": "application/json", accept: "*/*" },
      body: `{"data":"${"x".repeat(70 * KIB)}"}`,
    };
    const answer = await app.request(path, init);
    expect([answer.status, await answer.json()]).toMatchObject([503, form]);
    expect(answer.headers.get("retry-after")).toBe("1");
  }
  others.release();
  expect(bodies.held).toBe(0);
});
