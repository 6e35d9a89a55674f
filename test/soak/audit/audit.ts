/** The auditor finds every broken promise in a history. It does no I/O and reads no clock. */
import type { History } from "../history.ts";
import { auditCall } from "./calls.ts";
import { auditEvents } from "./events.ts";
import type { Loss } from "./loss.ts";
import { auditKeeping, endedIn } from "./records.ts";

export function audit(history: History): Loss[] {
  const ended = new Map(history.keepings.flatMap((keeping) => [...endedIn(keeping)]));
  return [
    ...auditEvents(history, ended),
    ...history.keepings.flatMap((keeping) => auditKeeping(keeping, history.publishes)),
    ...history.calls.flatMap(auditCall),
    ...[...history.unexpected].map(([answer, times]): Loss => {
      return { kind: "answer not allowed", where: answer, detail: `${times} times` };
    }),
  ];
}
