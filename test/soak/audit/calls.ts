/** Calls through the gateway: what was finished while the client was away is there on its return, once. */
import type { Call } from "../history.ts";
import type { Loss } from "./loss.ts";

/**
 * A call whose process or object was ended under it may be answered that it was interrupted, or
 * not at all if it had not named a place to come back to.
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
