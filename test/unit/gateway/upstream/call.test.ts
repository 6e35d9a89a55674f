import { describe, expect, it, onTestFinished, vi } from "vitest";
import packed from "../../../../package.json" with { type: "json" };
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { call, Reply, SELF } from "../../../../src/gateway/upstream/call.ts";
import { SseParser } from "../../../../src/wire/sse-parser.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import { upstreamWith } from "../../../support/mcp/upstream-with.ts";

it("names itself to upstreams by the package's name and version", () => {
  expect(SELF).toEqual({ name: packed.name, version: packed.version });
});

it("sends nothing for a call that was given up before", async () => {
  const send = vi.fn(async () => new Response());
  const upstream = upstreamWith(send);
  const [replica] = upstream.replicas;
  const given = { method: "POST", body: "{}" } as const;
  await expect(call(upstream, replica, given, { signal: AbortSignal.abort() })).rejects.toThrow();
  expect(send).not.toHaveBeenCalled();
  (await call(upstream, replica, given)).discard();
  expect(send).toHaveBeenCalledOnce();
});

const WHOLE = '{"text":"grüße"}';
function replyOf(answer: Response | string): Reply {
  const deadline = new CallDeadline(1000, new SharedTimer());
  onTestFinished(() => deadline.end());
  return new Reply(answer, deadline);
}
const jsonResponse = () =>
  new Response(WHOLE, { headers: { "content-type": "application/json; charset=utf-8" } });

it("reads JSON that is there as a whole as it reads a response with it", async () => {
  for (const make of [() => WHOLE, jsonResponse]) {
    const reply = replyOf(make());
    const { ok, status, isJson, isEventStream } = reply;
    expect({ ok, status, isJson, isEventStream }).toEqual({
      ok: true,
      status: 200,
      isJson: true,
      isEventStream: false,
    });
    expect(reply.header("content-type")).toMatch(/^application\/json/);
    expect(reply.header("mcp-session-id")).toBeNull();
    expect(reply.passOn(1000)).toBeUndefined();
    expect(await reply.text(100)).toBe(WHOLE);
    const bytes = await replyOf(make()).bytes(100);
    expect(new TextDecoder().decode(bytes)).toBe(WHOLE);
  }
});

it("takes a Content-Type that is said twice for what it says", () => {
  const typeOf = (type: string) => {
    const { isJson, isEventStream } = replyOf(
      new Response("", { headers: { "content-type": type } }),
    );
    return { isJson, isEventStream };
  };
  const json = { isJson: true, isEventStream: false };
  expect(typeOf("application/json, application/json")).toEqual(json);
  expect(typeOf('Application/JSON; profile="a, b"')).toEqual(json);
  expect(typeOf("text/event-stream,text/event-stream; charset=utf-8")).toEqual({
    isJson: false,
    isEventStream: true,
  });
  const neither = { isJson: false, isEventStream: false };
  expect(typeOf("application/json, text/html")).toEqual(neither);
  expect(typeOf("")).toEqual(neither);
});

it("refuses what is longer than it may be, in bytes", async () => {
  const bytes = Buffer.byteLength(WHOLE);
  for (const make of [() => WHOLE, jsonResponse]) {
    expect(await replyOf(make()).text(bytes)).toBe(WHOLE);
    const refused = { failure: FAILURES.tooLarge };
    await expect(replyOf(make()).text(bytes - 1)).rejects.toMatchObject(refused);
    await expect(replyOf(make()).bytes(bytes - 1)).rejects.toMatchObject(refused);
  }
});

describe("a stream of comments alone", () => {
  /** Sends a comment every second, with fake timers. */
  function commenting(totalMs?: number): Reply {
    vi.useFakeTimers();
    let timer: ReturnType<typeof setInterval> | undefined;
    const stop = (): void => clearInterval(timer);
    onTestFinished(() => (stop(), void vi.useRealTimers()));
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        timer = setInterval(() => controller.enqueue(new TextEncoder().encode(": \n\n")), 1000);
      },
      cancel: stop,
    });
    const headers = { "content-type": "text/event-stream" };
    const deadline = new CallDeadline(60_000, new SharedTimer(), undefined, totalMs);
    return new Reply(new Response(body, { headers }), deadline);
  }

  /** Reads it to its end; the returned function says whether that has come. */
  function reading(reply: Reply, endedBy: "message" | "byte"): () => boolean {
    let isOver = false;
    const read = async () => {
      const messages = reply.messages(new SseParser(1000), { ms: 5000, endedBy });
      expect((await messages.next()).done).toBe(true);
      isOver = true;
    };
    void read();
    return () => isOver;
  }

  it("is silent where only messages count", async () => {
    const reply = commenting();
    const isOver = reading(reply, "message");
    await vi.advanceTimersByTimeAsync(4999);
    expect(isOver()).toBe(false);
    await vi.advanceTimersByTimeAsync(1);
    expect([isOver(), reply.timedOut]).toEqual([true, true]);
  });

  it("is not where any byte shows that the peer is there", async () => {
    const isOver = reading(commenting(), "byte");
    await vi.advanceTimersByTimeAsync(3_600_000);
    expect(isOver()).toBe(false);
  });

  it("is passed on for as long as the call may take in all, and while bytes come", async () => {
    const reader = commenting(3500).passOn(2000)!;
    for (let n = 0; n < 3; n++) {
      const chunk = reader.read();
      await vi.advanceTimersByTimeAsync(1000);
      expect((await chunk).done).toBe(false);
    }
    const late = reader.read();
    late.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(500);
    await expect(late).rejects.toThrow(FAILURES.timedOut.message);
  });

  it("is not passed on where it is silent", async () => {
    const reader = commenting().passOn(500)!;
    const late = reader.read();
    late.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(500);
    await expect(late).rejects.toThrow(FAILURES.timedOut.message);
  });
});
