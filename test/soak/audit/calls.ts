/** Calls through the gateway: a client that returns receives every message that it missed, once. */
import type { Call } from "../history.ts";
import type { Loss } from "./loss.ts";

/**
 * If a fault ended the process or the object under a call, the call may end with the error that it
 * was interrupted, or without an answer if its stream had not named an id to resume from.
 */
export function auditCall({ call, steps, seen, end, afterwards, disturbed }: Call): Loss[] {
  const losses: Loss[] = [];
  const where = `call ${call}`;
  for (const [n, step] of seen.entries()) {
    const before = seen[n - 1] ?? 0;
    if (step === before + 1) continue;
    const kind = step > before ? "step lost" : "step repeated";
    losses.push({ kind, where, detail: `${step} came after ${before}` });
  }
  if (afterwards > 0) {
    losses.push({ kind: "step repeated", where, detail: `${afterwards} messages after its end` });
  }
  if (end === "result") {
    const last = seen.at(-1) ?? 0;
    if (last !== steps) {
      losses.push({ kind: "step lost", where, detail: `the last of ${steps} was ${last}` });
    }
  } else if (!disturbed || (end !== "interrupted" && end !== "unanswered")) {
    losses.push({ kind: "call lost", where, detail: `it ended with ${end ?? "nothing"}` });
  }
  return losses;
}
