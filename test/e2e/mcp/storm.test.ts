/**
 * Many clients of one upstream, with ids that collide, while connections are cut, the
 * upstream forgets its sessions and the service is killed. Each call
 * that still has an id to resume by ends, with its own messages, each once and in order.
 */
import { setTimeout as pause } from "node:timers/promises";
import { expect, it } from "vitest";
import { McpSession, readerOf, textOf, toolCall } from "../../support/mcp/client.ts";
import type { Rpc } from "../../support/mcp/client.ts";
import { fixtureBehindGateway } from "../../support/mcp/gateway.ts";
import { Relay } from "../../support/relay.ts";
import { lastEventIdIn, type SseReader } from "../../support/sse-reader.ts";

const CLIENTS = 10;
const CALLS = 5;
const STEPS = 4;

type Outcome = "answered" | "failed" | "nothing to resume by";

/** One call, resumed as often as it takes. `streaming` is called once its answer has become a stream. */
async function carry(
  session: McpSession,
  id: number,
  tag: string,
  streaming: () => void,
): Promise<Outcome> {
  const messages: Rpc[] = [];
  let seen: string | undefined;
  const read = async (reader: SseReader): Promise<void> => {
    // The frames that were whole when the connection was cut have been read; the rest comes again.
    await reader.rest().catch(() => []);
    const whole = reader.text.slice(0, reader.text.lastIndexOf("\n\n") + 2);
    for (const [, data] of whole.matchAll(/^data: (.+)$/gm)) {
      messages.push(JSON.parse(data ?? "") as Rpc);
    }
    seen = lastEventIdIn(reader.text) ?? seen;
  };
  const body = toolCall(id, "slow", { ms: 400, steps: STEPS, tag });
  const first = await session.post(body).catch(() => undefined);
  if (first?.headers.get("content-type") === "text/event-stream") {
    streaming();
    await read(readerOf(first));
  } else if (first) messages.push(JSON.parse(await first.text()) as Rpc);
  if (messages.length === 0 && seen === undefined) return "nothing to resume by";
  const isOver = () => messages.some((message) => message.id === id);
  while (!isOver()) {
    const resumed = await session.get(seen).catch(() => undefined);
    if (resumed?.ok) await read(readerOf(resumed));
    else await pause(50);
  }
  const own = messages.filter(({ method }) => method !== undefined);
  const steps = own.map(({ params }) => params?.data);
  const wanted = Array.from({ length: STEPS }, (_, n) => `${tag}${n + 1}`);
  const answers = messages.filter((message) => message.id === id);
  expect(answers).toHaveLength(1);
  if (answers[0]?.error) {
    expect(steps).toEqual(wanted.slice(0, steps.length));
    return "failed";
  }
  expect([textOf(answers[0]), steps]).toEqual([`slow ${tag}`, wanted]);
  return "answered";
}

it("ends every call that can be resumed, with its own messages, each once", async () => {
  const { url, service, fixture } = await fixtureBehindGateway();
  const relay = await Relay.to(service.port);
  const sessions = await Promise.all(Array.from({ length: CLIENTS }, () => McpSession.open(url)));
  for (const session of sessions) session.url = url.replace(service.url, relay.url);
  const storm = { over: false, streaming: Promise.withResolvers<void>() };
  const outcomes = Promise.all(
    sessions.map(async (session, client) => {
      const all: Outcome[] = [];
      for (let call = 0; all.length < CALLS; call++) {
        const tag = `c${client}n${call}-`;
        const outcome = await carry(session, call, tag, () => storm.streaming.resolve());
        // A call that could not be resumed proves nothing.
        if (outcome !== "nothing to resume by") all.push(outcome);
      }
      return all;
    }),
  ).finally(() => {
    storm.over = true;
  });
  for (let round = 0; !storm.over; round++) {
    // Or a slow machine would never see a call get as far as its first id.
    await Promise.race([storm.streaming.promise, outcomes]);
    storm.streaming = Promise.withResolvers();
    await pause(150);
    if (round % 3 === 0) fixture.forget();
    else if (round === 7) {
      await service.kill();
      await service.restart();
    } else relay.cut();
  }
  const all = (await outcomes).flat();
  expect(all).toHaveLength(CLIENTS * CALLS);
  expect(all.filter((outcome) => outcome === "answered").length).toBeGreaterThan(0);
}, 60_000);
