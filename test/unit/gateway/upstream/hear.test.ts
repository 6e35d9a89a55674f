/** `hear` reads the part of an upstream's answer that its meaning needs. */
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { Reply } from "../../../../src/gateway/upstream/call.ts";
import { hear } from "../../../../src/gateway/upstream/hear.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const ERROR = '{"jsonrpc":"2.0","id":7,"error":{"code":-32602,"message":"Bad"}}';
const encoder = new TextEncoder();

function heard(status: number, body: BodyInit, type?: string) {
  const headers: Record<string, string> = type === undefined ? {} : { "content-type": type };
  // The platform adds a type to a text.
  const bytes = typeof body === "string" ? encoder.encode(body) : body;
  const deadline = new CallDeadline(60_000, new SharedTimer());
  return hear(new Reply(new Response(bytes, { status, headers }), deadline), 1 << 20);
}

it.each([
  undefined,
  "text/plain",
  "text/html; charset=utf-8",
  "application/problem+json",
  "application/json, application/json",
])("reads a refusal whose type is %s", async (type) => {
  expect(await heard(404, ERROR, type)).toMatchObject({ status: 404, text: ERROR });
});

const SSE = "text/event-stream";

it.each<[what: string, body: BodyInit, text: string]>([
  ["an error", `event: message\ndata: ${ERROR}\n\n`, `[${ERROR}]`],
  ["no message", ": no\n\nevent: ping\ndata: {}\n\n", "[]"],
  ["nothing", "", "[]"],
])("reads a refusal that comes as a stream of %s", async (_what, body, text) => {
  expect(await heard(400, body, SSE)).toMatchObject({ status: 400, text });
});

/** A stream that stays open. */
const open = (text: string) =>
  new ReadableStream({ start: (controller) => controller.enqueue(encoder.encode(text)) });

it("such a stream may stay open: it is read to its first response, or to a second of silence", async () => {
  expect(await heard(400, open(`data: ${ERROR}\n\n`), SSE)).toMatchObject({ text: `[${ERROR}]` });
  const settled = vi.fn();
  const hearing = heard(404, open(": hello\n\n"), SSE).then(settled);
  await vi.advanceTimersByTimeAsync(1300);
  await hearing;
  expect(settled).toHaveBeenCalledWith(expect.objectContaining({ status: 404, text: "[]" }));
});

it("such a stream that is never silent is read for five seconds", async () => {
  let timer: ReturnType<typeof setInterval> | undefined;
  const progress = encoder.encode('data: {"jsonrpc":"2.0","method":"notifications/progress"}\n\n');
  const endless = new ReadableStream({
    start: (controller) => {
      timer = setInterval(() => controller.enqueue(progress), 500);
    },
    cancel: () => clearInterval(timer),
  });
  const settled = vi.fn();
  void heard(400, endless, SSE).then(settled);
  await vi.advanceTimersByTimeAsync(4900);
  expect(settled).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(200);
  expect(settled).toHaveBeenCalledWith(expect.objectContaining({ status: 400 }));
});

it("leaves what is neither JSON nor a refusal unread", async () => {
  for (const status of [200, 302]) {
    expect(await heard(status, ERROR, "text/plain")).toMatchObject({ text: undefined });
  }
});

it("waits a second at most for a refusal that is not said to be JSON", async () => {
  const endless = new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode("<html>")),
  });
  const settled = vi.fn();
  const hearing = heard(404, endless, "text/html").then(settled);
  await vi.advanceTimersByTimeAsync(999);
  expect(settled).not.toHaveBeenCalled();
  await vi.advanceTimersByTimeAsync(300);
  await hearing;
  expect(settled).toHaveBeenCalledWith(expect.objectContaining({ status: 404, text: undefined }));
});

it("reads no more of such a refusal than 64 KiB", async () => {
  expect(await heard(500, "x".repeat(64 * 1024 + 1))).toMatchObject({
    status: 500,
    text: undefined,
  });
});
