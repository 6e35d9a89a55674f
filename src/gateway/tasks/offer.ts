/**
 * Finds out who offers tasks for an upstream: the upstream itself, or else the gateway. The upstream's answer to
 * `server/discover` shows it. The gateway asks once, if no client has asked before. This memory is the isolate's.
 */
import { isObject, parseJson } from "../../wire/json.ts";
import { memberText, withMember, withoutMember } from "../../wire/json-text.ts";
import { jsonResponse } from "../answers.ts";
import { discoveryShows } from "../eras/shown.ts";
import { learn, speaks } from "../eras/speaks.ts";
import type { GatewayCall } from "../request.ts";
import { probe } from "../stateless.ts";
import type { Upstream } from "../upstream/upstream.ts";
import { TASKS_EXTENSION } from "./request.ts";
import { responseIn } from "./text.ts";

/** By name and replicas, which the configuration bounds: whether the upstream offers tasks itself. */
const known = new Map<string, boolean>();

function keyOf({ name, replicas }: Upstream): string {
  return JSON.stringify([name, ...replicas.map(({ url }) => url)]);
}

/** An answer of the upstream has shown whether it offers tasks itself. */
export function learnOffer(upstream: Upstream, itself: boolean): void {
  known.set(keyOf(upstream), itself);
}

/** Whether an answer has shown that the upstream offers tasks itself. */
export function isKnownToOffer(upstream: Upstream): boolean {
  return known.get(keyOf(upstream)) === true;
}

/**
 * Whether the upstream offers tasks itself. Undefined: it has not said, such as one that speaks no stateless
 * revision, or that wants another credential first.
 */
export async function offersItself(call: GatewayCall): Promise<boolean | undefined> {
  const { upstream } = call;
  // A server that keeps sessions knows nothing of this extension.
  if (speaks(upstream, "modern") === false) return false;
  const before = known.get(keyOf(upstream));
  if (before !== undefined) return before;
  await call.parts.memory?.recall(upstream);
  if (speaks(upstream, "modern") === false) return false;
  const answer = await probe(call);
  if (answer && discoveryShows(answer) === false) {
    learn(upstream, "modern", false);
    return false;
  }
  const result = memberText(responseIn(answer?.text ?? "")?.text ?? "", "result");
  if (result === undefined) return undefined;
  const itself = hasExtension(result);
  learnOffer(upstream, itself);
  return itself;
}

function hasExtension(result: string): boolean {
  const extensions = memberText(memberText(result, "capabilities") ?? "", "extensions") ?? "";
  return memberText(extensions, TASKS_EXTENSION) !== undefined;
}

/** The answer to a client's `server/discover`, which offers tasks where the upstream does not. */
export async function withOffer(upstream: Upstream, response: Response): Promise<Response> {
  if (!response.ok) return response;
  const text = await response.text();
  const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") ?? false;
  // A stream has this one message, if any: nothing goes before the answer to a discovery.
  const json = isStream ? dataIn(text) : text;
  const result = memberText(json, "result");
  if (result === undefined || !isObject(parseJson(result))) return rebuilt(response, text);
  const itself = hasExtension(result);
  learnOffer(upstream, itself);
  if (itself) return rebuilt(response, text);
  return jsonResponse(200, withMember(json, "result", offering(result)));
}

/** The result with the extension among the capabilities, and without the `tasks` of 2025-11-25. */
function offering(result: string): string {
  const given = memberText(result, "capabilities") ?? "{}";
  const capabilities = withoutMember(given.startsWith("{") ? given : "{}", "tasks");
  const extensions = memberText(capabilities, "extensions") ?? "{}";
  const more = withMember(extensions.startsWith("{") ? extensions : "{}", TASKS_EXTENSION, "{}");
  return withMember(result, "capabilities", withMember(capabilities, "extensions", more));
}

function rebuilt({ status, headers }: Response, text: string): Response {
  return new Response(text, { status, headers });
}

/** The data of the last event that is a message. */
function dataIn(stream: string): string {
  const events = stream.split(/\r?\n\r?\n/).map((frame) =>
    frame
      .split(/\r?\n/)
      .filter((line) => line.startsWith("data:"))
      .map((line) => line.slice("data:".length).trimStart())
      .join("\n"),
  );
  return events.findLast((data) => responseIn(data) !== undefined) ?? "";
}
