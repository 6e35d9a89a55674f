/** The answer to a client of 2026-07-28, where a server with sessions asks without naming a call. */
import { expect, it } from "vitest";
import type { GatewayStreams } from "../../../../src/gateway/object/streams.ts";
import type { EraStates } from "../../../../src/gateway/object/era-states.ts";
import { EraAnswer } from "../../../../src/gateway/object/era-answer.ts";
import { EraLeg } from "../../../../src/gateway/object/era-leg.ts";

const QUESTION = '{"jsonrpc":"2.0","id":"q","method":"roots/list"}';
const ANSWER = '{"jsonrpc":"2.0","id":"up","result":{"content":[]}}';

it("hands a question about the client on where its call ends before its client is asked", async () => {
  const handedOn: string[] = [];
  let calledOff = 0;
  const request = {
    id: "1",
    method: "tools/call",
    capabilities: { roots: {} },
    inputResponses: {},
  };
  const leg = new EraLeg({
    request,
    keepaliveMs: 1000,
    bufferBytes: 1000,
    maxBytes: 1000,
    onLeft: () => undefined,
  });
  const answer = new EraAnswer(leg, {
    upstreamId: '"up"',
    // Nothing is stored before the client is asked.
    streams: {} as GatewayStreams,
    states: {} as EraStates,
    waitsMs: 1000,
    reply: () => undefined,
    unasked: (text) => handedOn.push(text),
    namesCalls: true,
    progress: () => undefined,
    onStray: () => undefined,
    tasks: { give: () => undefined, wake: () => undefined },
    after: () => () => void calledOff++,
  });
  answer.asked(QUESTION, true);
  expect(handedOn).toEqual([]);
  answer.answerJson(200, [ANSWER]);
  expect(await leg.answer).toMatchObject({ value: { kind: "json", status: 200 } });
  expect([handedOn, calledOff]).toEqual([[QUESTION], 1]);
});
