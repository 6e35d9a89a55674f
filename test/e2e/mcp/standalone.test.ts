/** The upstream's standalone stream: asked for again, opened before the client's, with its own retry. */
import { expect, it } from "vitest";
import { McpSession, messagesOf } from "../../support/mcp/client.ts";
import { roughBehindGateway, roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { event, notice, type Asked } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

it.each<[what: string, refuse: (asked: Asked) => void]>([
  [
    "400 that it exists already",
    (asked) =>
      asked.error(
        400,
        -32000,
        "Only one SSE stream is allowed per session, one already exists",
        "null",
      ),
  ],
  ["400 as text", (asked) => asked.answer(400, "stream already exists")],
  [
    "409",
    (asked) =>
      asked.error(409, -32000, "Conflict: Only one SSE stream is allowed per session", "null"),
  ],
  ["429", (asked) => asked.answer(429, "", { "retry-after": "0" })],
  ["503", (asked) => asked.answer(503, "Service Unavailable")],
  ["500", (asked) => asked.answer(500)],
])("is asked for again after %s", async (_what, refuse) => {
  let refused = false;
  const { url, server } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    if (refused) asked.stream(event(notice("heard")));
    else refuse(asked);
    refused = true;
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  const messages = messagesOf(await reader.take(2));
  expect(messages.map(({ params }) => params?.data)).toEqual(["heard"]);
  expect([server.count("GET"), server.count("initialize")]).toEqual([2, 1]);
  await reader.leave();
});

it("is asked for again each time, where it is refused again and again", async () => {
  let times = 0;
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    if (++times === 4) asked.stream(event(notice("heard")));
    else asked.answer(400, "already exists");
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  expect(messagesOf(await reader.take(2))).toHaveLength(1);
  await reader.leave();
});

it.each([401, 404, 410])("%i to it after a restart recovers the session", async (status) => {
  const { url, server } = await roughBehindGateway((asked, { sid }) => {
    if (asked.sid !== undefined && asked.sid !== sid) {
      asked.answer(status, "Unauthorized: Session not found");
    } else if (asked.verb === "GET") asked.stream(`retry: 20\n${event(notice(asked.sid))}`);
    else return false;
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  await reader.until(/rough-1/);
  server.sid = "rough-2";
  (await server.asked("GET")).end();
  await reader.until(/rough-2/);
  expect(server.count("initialize")).toBe(2);
  await reader.leave();
});

it("asks once for a stream that the server does not have", async () => {
  const { url, server } = await roughUpstream();
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await server.asked("GET");
  await session.call({ jsonrpc: "2.0", id: 1, method: "ping" });
  expect(server.count("GET")).toBe(1);
  await reader.leave();
});

it("the client's GET is answered when it is open", async () => {
  const { url, server, service } = await roughBehindGateway((asked) => asked.verb === "GET");
  const session = await McpSession.open(url);
  const order: string[] = [];
  const answered = session.follow().then((reader) => {
    order.push("the client is answered");
    return reader;
  });
  const asked = await server.asked("GET");
  // The service does other things meanwhile, and so might have answered.
  for (let n = 0; n < 5; n++) await service.send("GET", `/v1/sessions/${session.id}`);
  order.push("the upstream answers");
  asked.stream(event(notice("at once")));
  const reader = await answered;
  expect(order).toEqual(["the upstream answers", "the client is answered"]);
  expect(messagesOf(await reader.take(2))).toHaveLength(1);
  await reader.leave();
});

it("the client's GET is answered after a second where the upstream does not answer", async () => {
  const { url, server } = await roughUpstream((asked) => asked.verb === "GET");
  const session = await McpSession.open(url);
  const before = Date.now();
  const reader = await session.follow();
  const waited = Date.now() - before;
  await reader.take(1);
  // A busy machine may take longer, never shorter.
  expect(waited).toBeGreaterThan(900);
  const asked = await server.asked("GET");
  asked.stream(event(notice("late")));
  expect(messagesOf(await reader.take(1))).toHaveLength(1);
  await reader.leave();
});

it("no message is lost that is said the moment the stream is open", async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream();
    return true;
  });
  const sessions = await Promise.all(Array.from({ length: 10 }, () => McpSession.open(url)));
  const heard = await Promise.all(
    sessions.map(async (session, n) => {
      const reader = await session.follow();
      // To this client the stream is open: whatever the upstream says from here on is for it.
      server.all("GET").forEach((asked) => asked.write(event(notice(n))));
      const [, first] = await reader.take(2);
      await reader.leave();
      return first !== undefined;
    }),
  );
  expect(heard).toEqual(heard.map(() => true));
});

it("an upstream without a session's id may have one", async () => {
  const { url, server } = await roughUpstream(
    (asked) => {
      if (asked.verb !== "GET") return false;
      asked.stream(event(notice("without a session")));
      return true;
    },
    { sid: null },
  );
  const reader = await (await McpSession.open(url)).follow();
  const messages = messagesOf(await reader.take(2));
  expect(messages.map(({ params }) => params?.data)).toEqual(["without a session"]);
  expect(server.all("GET")[0]?.sid).toBeUndefined();
  await reader.leave();
});

it("an upstream without sessions that refuses the stream is not initialized anew", async () => {
  const { url, server } = await roughUpstream(
    (asked) => {
      if (asked.verb !== "GET") return false;
      asked.answer(404);
      return true;
    },
    { sid: null },
  );
  const session = await McpSession.open(url);
  const reader = await session.follow();
  await server.asked("GET");
  expect((await session.call({ jsonrpc: "2.0", id: 1, method: "ping" })).status).toBe(200);
  expect(server.count("initialize")).toBe(1);
  await reader.leave();
});

it.each([20, 4321, 60_000])("its retry of %i ms is passed on", async (retry) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream(`retry: ${retry}\n\n${event(notice(1))}`);
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  await reader.take(2);
  expect(reader.retries.at(-1)).toBe(retry);
  await reader.leave();
});
