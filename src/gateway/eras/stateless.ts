/**
 * Serves a request of the stateless revision. It is passed through, unless the upstream has shown that it speaks
 * only the revisions with sessions: then the bridge carries it.
 */
import { isHarmless, messagesIn } from "../json-rpc.ts";
import { isOfType, JSON_TYPES } from "../../http/body.ts";
import { jsonResponse } from "../answers.ts";
import type { GatewayCall } from "../request.ts";
import { passThrough, probe } from "../stateless.ts";
import { bridged } from "./bridged.ts";
import { answerShows, discoveryShows, isRefusal, isSuspect, type ModernAnswer } from "./shown.ts";
import { modernResponse } from "./modern-answer.ts";
import { learn, speaks } from "./speaks.ts";
import { DISCOVER } from "./wire.ts";

export async function stateless(call: GatewayCall, body: string): Promise<Response> {
  const { upstream } = call;
  const known = speaks(upstream, "modern");
  if (known === false) return bridged(call, body, upstream.era ? undefined : changed(call, body));
  if (known === undefined && !isHarmless(body)) await call.parts.memory?.recall(upstream);
  if (speaks(upstream, "modern") === false) return bridged(call, body);
  const response = await passThrough(call, body);
  return upstream.era ? response : judged(call, body, response, known === true);
}

/** Looks at an answer for what it shows, unless it shows no more than is known. */
async function judged(
  call: GatewayCall,
  body: string,
  response: Response,
  isKnown: boolean,
): Promise<Response> {
  const { upstream } = call;
  const [request] = messagesIn(body);
  if (request?.message.kind !== "request" || (isKnown && response.ok)) return response;
  const { method } = request.message;
  const answer = await answerIn(response);
  const shown = answerShows(method, answer);
  if (shown === true) {
    // Nothing is remembered of it: a server that needs no bridge costs no request to an object.
    learn(upstream, "modern", true);
    return response;
  }
  if (shown === undefined && !isSuspect(answer, isKnown)) return response;
  const isLegacy = (shown ?? (method === DISCOVER ? shown : await asked(call))) === false;
  if (!isLegacy) return response;
  // The gateway does not repeat a request that may have been executed: the next one goes over the bridge.
  const mayRepeat = isHarmless(body) || isRefusal(answer);
  if (mayRepeat) return bridged(call, body, () => Promise.resolve(response));
  if (learn(upstream, "modern", false)) await call.parts.memory?.remember(upstream);
  const { text } = answer;
  if (!response.ok || text === undefined) return response;
  return jsonResponse(response.status, modernResponse(method, request.message.id, text));
}

/** Asks the upstream. Undefined where its answer shows nothing. */
async function asked(call: GatewayCall): Promise<boolean | undefined> {
  const { upstream, parts } = call;
  const before = speaks(upstream, "modern");
  const answer = await probe(call);
  const shown = answer && discoveryShows(answer);
  if (shown !== true) return shown;
  if (learn(upstream, "modern", true) && before === false) await parts.memory?.remember(upstream);
  return shown;
}

/** The upstream no longer opens sessions: it may have become a server of the stateless revision. */
function changed(call: GatewayCall, body: string): () => Promise<Response | undefined> {
  return async () => ((await asked(call)) === true ? passThrough(call, body) : undefined);
}

async function answerIn(response: Response): Promise<ModernAnswer> {
  const { status, headers } = response;
  const isJson = isOfType(headers.get("content-type"), JSON_TYPES);
  return { status, text: isJson ? await response.clone().text() : undefined };
}
