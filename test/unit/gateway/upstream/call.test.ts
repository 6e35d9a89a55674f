import { expect, it, vi } from "vitest";
import { CallDeadline, SharedTimer } from "../../../../src/gateway/upstream/call-deadline.ts";
import { call, Reply } from "../../../../src/gateway/upstream/call.ts";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
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

const WHOLE = '{"text":"grüße"}';
const replyOf = (answer: Response | string) =>
  new Reply(answer, new CallDeadline(1000, new SharedTimer()));
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
    expect(reply.passOn()).toBeUndefined();
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
