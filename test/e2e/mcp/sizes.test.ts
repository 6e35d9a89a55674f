/** One message may be as large as BODY_MAX_BYTES, however it comes. */
import { expect, it } from "vitest";
import { McpSession, messagesOf, statusOf, toolCall } from "../../support/mcp/client.ts";
import { openLegacy } from "../../support/mcp/legacy-client.ts";
import { roughBehindGateway, roughUpstreams } from "../../support/mcp/rough-gateway.ts";
import { event, notice, resultOf, type Asked } from "../../support/mcp/rough-server.ts";

const roughUpstream = roughUpstreams();

const MIB = 1 << 20;
const image = (bytes: number, of = "a") => `"content": [], "image": "${of.repeat(bytes)}"`;

const WAYS: readonly [way: string, say: (asked: Asked, text: string) => void][] = [
  ["as SSE", (asked, text) => (asked.stream(event(notice(1))), asked.end(event(text)))],
  ["as quick JSON", (asked, text) => asked.json(text)],
  ["as JSON after 600 ms", (asked, text) => void setTimeout(() => asked.json(text), 600)],
];

const SIZES: readonly [size: string, members: string][] = [
  ["1.2 MB", image(1_200_000)],
  ["3.9 MiB", image(3.9 * MIB)],
  // Three bytes each in UTF-8, so every bound that counts characters or cuts bytes shows.
  ["3 MiB of characters beyond Latin-1", image(MIB, "漢")],
  ["2 MiB of pairs of surrogates", image(MIB / 2, "😀")],
  // More than is parsed: forty of these at a time would take all memory.
  ["150,000 values", `"content": [], "series": [${"1.0,".repeat(149_999)}1.0]`],
  ["a million values", `"content": [], "rows": [${"{},".repeat(500_000)}{}]`],
];

it.each(
  WAYS.flatMap(([way, say]) => SIZES.map(([size, members]) => [size, way, say, members] as const)),
)("%s %s", async (_size, _way, say, members) => {
  const { url } = await roughUpstream((asked) => {
    if (asked.method !== "tools/call") return false;
    say(asked, resultOf(asked.id, members));
    return true;
  });
  const { text } = await (await McpSession.open(url)).call(toolCall(1, "x"));
  expect(text.includes(resultOf("1", members))).toBe(true);
});

it("a large message is replayed whole, between its neighbours", async () => {
  const members = image(3 * MIB, "b");
  const { url } = await roughBehindGateway(
    (asked) => {
      if (asked.method !== "tools/call") return false;
      asked.stream(event(notice("before")));
      asked.end(
        event(notice("c".repeat(2 * MIB))) + event(notice("after")) + event(resultOf("1", members)),
      );
      return true;
    },
    // The log of a session retains LOG_MAX_BYTES, however few messages these are.
    { env: { LOG_MAX_BYTES: String(8 * MIB) } },
  );
  const session = await McpSession.open(url);
  const reader = await session.stream(toolCall(1, "x"));
  const [priming] = await reader.take(1);
  const live = await reader.rest();
  const again = (await (await session.follow(priming?.id)).rest()).filter(
    ({ data }) => data !== "",
  );
  expect(again.map(({ id }) => id)).toEqual(live.map(({ id }) => id));
  expect(again.map(({ data }) => data.length)).toEqual(live.map(({ data }) => data.length));
  expect(again.at(-1)?.data === resultOf("1", members)).toBe(true);
});

it("on the upstream's own stream", async () => {
  const { url } = await roughUpstream((asked) => {
    if (asked.verb !== "GET") return false;
    asked.stream(event(notice("d".repeat(3 * MIB))) + event(notice("after")));
    return true;
  });
  const reader = await (await McpSession.open(url)).follow();
  const messages = messagesOf(await reader.take(3));
  expect(messages.map(({ params }) => String(params?.data).length)).toEqual([3 * MIB, 5]);
  await reader.leave();
});

it("to a legacy client", async () => {
  const { service } = await roughBehindGateway((asked) => {
    if (asked.method !== "tools/call") return false;
    asked.json(resultOf(asked.id, image(2 * MIB)));
    return true;
  });
  const session = await openLegacy(service.url);
  await session.post(toolCall(1, "x"));
  const [frame] = await session.reader.take(1);
  expect(frame?.data === resultOf("1", image(2 * MIB))).toBe(true);
  await session.reader.leave();
});

it.each(WAYS)(
  "over BODY_MAX_BYTES it is refused, and the session goes on: %s",
  async (_way, say) => {
    const { url } = await roughBehindGateway(
      (asked) => {
        if (asked.method !== "tools/call") return false;
        say(asked, resultOf(asked.id, image(2 * MIB)));
        return true;
      },
      { env: { BODY_MAX_BYTES: String(MIB) } },
    );
    const session = await McpSession.open(url);
    const answer = await session.call(toolCall(1, "x"));
    const error = { code: -32603, message: "The upstream sent a message that is too large" };
    expect(answer.messages.at(-1)).toMatchObject({ id: 1, error });
    expect(answer.status).toBe(statusOf(502, answer));
    expect((await session.call({ jsonrpc: "2.0", id: 2, method: "ping" })).status).toBe(200);
  },
);
