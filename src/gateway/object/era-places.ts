/** Calls of clients of the stateless revision that this object, or another life of it, had under way. */
import { heardOf, modernResponse } from "../eras/modern-answer.ts";
import type { RequestId } from "../json-rpc.ts";
import { FAILURES } from "../upstream/failure.ts";
import type { EraLeg } from "./era-leg.ts";
import type { EraPlace, EraState } from "./era-states.ts";
import type { OpenExchange } from "./exchange-table.ts";
import type { GatewayStreams } from "./streams.ts";

type Streams = Pick<GatewayStreams, "openExchanges" | "resumesAfter" | "messagesAfter" | "lastSeq">;

/** The call that was left when the object's memory was lost, and where to take it up. */
export function leftAt(
  streams: Streams,
  { stream, seq, resumesAfter }: EraPlace,
): OpenExchange | undefined {
  const left = streams.openExchanges().find((one) => one.stream === stream);
  if (!left) return undefined;
  const upstreamId = streams.resumesAfter(stream, seq) ?? resumesAfter ?? left.upstreamId;
  return { ...left, upstreamId };
}

/** Where a call goes on that was neither asked about nor left before the object's memory was lost: at its beginning. */
export function placeOf(streams: Streams, upstreamId: RequestId): EraPlace | undefined {
  const left = streams.openExchanges().find(({ asked }) => asked.includes(upstreamId));
  return left && { stream: left.stream, seq: 0, resumesAfter: left.upstreamId, upstreamId };
}

/** Gives the answer to a call that is over, if the log has it. */
export function fromLog(streams: Streams, place: EraPlace | undefined, leg: EraLeg) {
  const { request } = leg;
  for (const text of place ? streams.messagesAfter(place.stream, place.seq) : []) {
    const heard = heardOf(text, request.capabilities);
    if (heard.kind === "response" && heard.id === place?.upstreamId) {
      leg.finish(modernResponse(request.method, request.id, text));
    }
  }
  leg.fail(FAILURES.interrupted);
  return { answer: leg.answer, ended: Promise.resolve() };
}

/** The client's answers to a server's questions, as responses. */
export function repliesTo(
  asks: EraState["asks"],
  given: Readonly<Record<string, string>>,
): readonly string[] {
  return asks.flatMap(([key, { id }]) => {
    const result = given[key];
    return result === undefined ? [] : [`{"jsonrpc":"2.0","id":${id},"result":${result}}`];
  });
}

/** The notification that cancels a call. */
export function cancelled(upstreamId: RequestId, reason: string): string {
  const params = `{"requestId":${upstreamId},"reason":${JSON.stringify(reason)}}`;
  return `{"jsonrpc":"2.0","method":"notifications/cancelled","params":${params}}`;
}
