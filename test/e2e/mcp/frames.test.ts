/** Every frame that carries a message is named `message`: several released clients hear no other. */
import { expect, it } from "vitest";
import { INITIALIZE, McpSession, post, readerOf, toolCall } from "../../support/mcp/client.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { roughBehindGateway, roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { agreedTo, event, notice, resultOf } from "../../support/mcp/rough-server.ts";
import { Service } from "../../support/service.ts";
import type { Frame } from "../../support/sse-reader.ts";

const roughUpstream = roughUpstreams();

/** The names of the frames with a message; the priming event has none, and is none. */
const namesOf = (frames: readonly Frame[]) =>
  frames.filter(({ data }) => data !== "").map(({ event }) => event);

const speaking = () =>
  roughBehindGateway((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(notice(1)));
    asked.end(event(notice(2)) + event(resultOf(asked.id)));
    return true;
  });

it("on an exchange's stream, and where it is resumed", async () => {
  const { url } = await speaking();
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "x"));
  const frames = await reader.rest();
  expect(namesOf(frames)).toEqual(["message", "message", "message"]);
  expect(frames[0]).toMatchObject({ data: "", event: undefined });
  const again = await session.follow(frames[0]?.id);
  expect(namesOf(await again.rest())).toEqual(["message", "message", "message"]);
});

it("on the standalone stream", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream(event(notice("standalone")));
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  expect(namesOf(await reader.take(2))).toEqual(["message"]);
  await reader.leave();
});

it("in an initialize that is answered with several messages", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "initialize") return false;
    asked.stream(event(notice("first")), { "mcp-session-id": "rough-1" });
    asked.end(event(resultOf(asked.id, agreedTo("2025-11-25"))));
    return true;
  });
  const frames = await readerOf(await post(url, INITIALIZE)).rest();
  expect(namesOf(frames)).toEqual(["message", "message"]);
});

it("on a legacy stream", async () => {
  const { service } = await speaking();
  const session = await openLegacy(service.url);
  await session.post(INITIALIZE);
  await session.post(toolCall(2, "x"));
  const names = namesOf(await session.reader.take(4));
  expect(names).toEqual(["message", "message", "message", "message"]);
  await session.reader.leave();
});

it("in what the demo server says", async () => {
  const { url } = await Service.start();
  const session = await McpSession.open(`${url}/mcp`);
  const reader = await session.stream({
    jsonrpc: "2.0",
    id: 1,
    method: "tools/call",
    params: { name: "count", arguments: { steps: 2, seconds: 1 }, _meta: { progressToken: "p" } },
  });
  const names = namesOf(await reader.rest());
  expect(names).toEqual(names.map(() => "message"));
  expect(names.length).toBeGreaterThan(1);
});

it("in the error that an exchange of a restarted service ends with", async () => {
  const { url, service, server } = await roughBehindGateway((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(notice(1)));
    return true;
  });
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "x"));
  const [priming] = await reader.take(2);
  await server.asked("tools/call");
  await service.kill();
  await service.restart();
  const names = namesOf(await (await session.follow(priming?.id)).rest());
  expect(names).toEqual(["message", "message"]);
});
