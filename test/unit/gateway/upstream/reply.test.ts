import { expect, it } from "vitest";
import { FAILURES } from "../../../../src/gateway/upstream/failure.ts";
import { Reply } from "../../../../src/gateway/upstream/reply.ts";
import { SharedTimer, CallDeadline } from "../../../../src/gateway/upstream/call-deadline.ts";

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
    expect(await reply.unread(WHOLE).text(100)).toBe(WHOLE);
  }
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
