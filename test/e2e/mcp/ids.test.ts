/** A client gets its own id back, whatever the server made of it, digit by digit. */
import { expect, it } from "vitest";
import { INITIALIZE, McpSession, post } from "../../support/mcp/client.ts";
import { startGateway } from "../../support/mcp/gateway.ts";
import { roughBehindGateway, roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { agreedTo, event, notice, resultOf } from "../../support/mcp/rough-server.ts";
import { shared } from "../../support/scope.ts";

const roughUpstream = roughUpstreams();
const demoGateway = shared(() => startGateway({ default: "demo" }));

/** A call with this id, as it is written. */
const call = (id: string) =>
  `{"jsonrpc": "2.0", "id": ${id}, "method": "tools/call", "params": {"name": "x"}}`;

/** The ids of the messages in a body, as they are written. */
const idsIn = (text: string) =>
  [...text.matchAll(/"id"\s*:\s*("[^"]*"|-?[\d.eE+-]+|null)/g)].map(([, id]) => id);

const CHANGED: readonly [sent: string, answered: string][] = [
  ["7", '"7"'],
  ['"7"', "7"],
  ["9007199254740993", '"9007199254740993"'],
  ["9007199254740993", "9007199254740992"],
  ["1.0", "1"],
];

it.each(CHANGED)("id %s is answered as %s: as JSON", async (sent, answered) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.json(resultOf(answered));
    return true;
  });
  const response = await (await McpSession.open(url)).post(call(sent));
  expect([response.status, idsIn(await response.text())]).toEqual([200, [sent]]);
});

it.each(CHANGED)("id %s is answered as %s: on a stream", async (sent, answered) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(notice(1)));
    asked.end(event(resultOf(answered)));
    return true;
  });
  const text = await (await (await McpSession.open(url)).post(call(sent))).text();
  expect([idsIn(text), text.includes('"result"')]).toEqual([[sent], true]);
});

it('7 and "7" are two ids where both are asked', async () => {
  const { url } = await roughUpstream(
    (asked) => {
      if (!asked.body.startsWith("[")) return false;
      asked.json(`[${resultOf('"7"', '"which": "text"')}, ${resultOf("7", '"which": "number"')}]`);
      return true;
    },
    { version: "2025-03-26" },
  );
  const session = await McpSession.open(url);
  const batch = `[${call("7")}, ${call('"7"')}]`;
  const response = await session.post(batch, { "mcp-protocol-version": "2025-03-26" });
  const answers = JSON.parse(await response.text()) as { id: unknown; result: object }[];
  expect(
    answers.toSorted((a, b) => (typeof a.id === "string" ? 1 : typeof b.id === "string" ? -1 : 0)),
  ).toEqual([
    { jsonrpc: "2.0", id: 7, result: { which: "number" } },
    { jsonrpc: "2.0", id: "7", result: { which: "text" } },
  ]);
});

it("an answer that names another id is not taken for this one's", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.json(resultOf('"8"'));
    return true;
  });
  const answer = await (await McpSession.open(url)).call(call("7"));
  expect(answer.messages).toMatchObject([{ id: 7, error: { code: -32603 } }]);
});

const LARGE = ["9007199254740993", "-12345678901234567890", "1e3"];

it.each(LARGE)(
  "id %s keeps its digits in an error of the gateway's own: upstream down",
  async (id) => {
    const { url, server } = await roughUpstream();
    const session = await McpSession.open(url);
    await server.stop();
    const response = await session.post(call(id));
    expect(idsIn(await response.text())).toEqual([id]);
  },
);

it.each(LARGE)("id %s keeps its digits where there is no such session", async (id) => {
  const { url } = await demoGateway();
  const headers = { "mcp-session-id": crypto.randomUUID() };
  const response = await post(url, call(id), headers);
  expect([response.status, idsIn(await response.text())]).toEqual([404, [id]]);
});

it.each(LARGE)(
  "id %s keeps its digits when the service restarts under its exchange",
  async (id) => {
    const { url, server, service } = await roughBehindGateway((asked) => {
      if (asked.method !== "tools/call") return false;
      asked.stream(event(notice(1)));
      return true;
    });
    const session = await McpSession.open(url);
    const reader = await session.stream(call(id));
    const [priming] = await reader.take(2);
    await server.asked("tools/call");
    await service.kill();
    await service.restart();
    const resumed = await session.follow(priming?.id);
    await resumed.rest();
    expect(idsIn(resumed.text.replaceAll(/^id: .*$/gm, ""))).toEqual([id]);
  },
);

it.each(LARGE)("a call with id %s can be cancelled", async (id) => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(notice(1)));
    return true;
  });
  const session = await McpSession.open(url);
  const reader = await session.stream(call(id));
  const upstream = await server.asked("tools/call");
  await session.post(
    `{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": ${id}}}`,
  );
  await reader.rest();
  expect(idsIn(reader.text.replaceAll(/^id: .*$/gm, ""))).toEqual([id]);
  await upstream.closed;
});

it.each(CHANGED)("initialize with id %s is answered as %s", async (sent, answered) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "initialize") return false;
    asked.json(resultOf(answered, agreedTo("2025-11-25")));
    return true;
  });
  const params = JSON.stringify(INITIALIZE.params);
  const body = `{"jsonrpc": "2.0", "id": ${sent}, "method": "initialize", "params": ${params}}`;
  const response = await post(url, body);
  expect([response.status, idsIn(await response.text())]).toEqual([200, [sent]]);
});

it('to cancel "7" cancels "7", and not 7', async () => {
  const { url, server } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.stream(event(notice(1)));
    if (asked.id === "7")
      void server.asked("notifications/cancelled").then(() => asked.end(event(resultOf("7"))));
    return true;
  });
  const session = await McpSession.open(url);
  const readers = [await session.stream(call("7")), await session.stream(call('"7"'))];
  await session.post(
    '{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "7"}}',
  );
  await Promise.all(readers.map((reader) => reader.rest()));
  const [number, text] = readers.map((reader) => reader.text);
  expect([number?.includes('"result"'), text?.includes('"error"')]).toEqual([true, true]);
});
