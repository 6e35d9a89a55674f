/** The route of Prometheus. It shows the memory of one process, so only a machine that runs the whole service has it. */
import { SESSION_TYPES } from "../core/content.ts";
import { COUNTS_MS } from "../core/limits.ts";
import type { SessionHost } from "../core/host.ts";
import { awake } from "../signals/awake.ts";
import { exposition, EXPOSITION_TYPE } from "../signals/exposition.ts";
import {
  exchangesOpen,
  METRICS,
  objectsAwake,
  published,
  ready,
  sessions,
} from "../signals/metrics.ts";
import type { Readiness } from "./readiness.ts";
import { route, type Route } from "./route.ts";

const EXAMPLE = `# HELP ${published.name} ${published.help}
# TYPE ${published.name} counter
${published.name} 42
`;

export function metricsRoute(now: () => number = Date.now): Route {
  let countedAt = -Infinity;

  /** Sessions by type, if the whole directory answers. */
  const countSessions = async (host: SessionHost): Promise<void> => {
    if (now() - countedAt < COUNTS_MS) return;
    countedAt = now();
    sessions.clear();
    const counts = await Promise.all(
      SESSION_TYPES.map(async (type) => {
        const { count, partial } = await host.count({ type });
        return { type, count, partial };
      }),
    ).catch(() => []);
    if (counts.some(({ partial }) => partial)) return;
    for (const { type, count } of counts) sessions.set(count, type);
  };

  const checkReadiness = async (readiness: Readiness): Promise<void> => {
    const failing = await readiness.failing();
    for (const name of readiness.names) ready.set(failing.includes(name) ? 0 : 1, name);
  };

  return route({
    method: "get",
    path: "/metrics",
    operationId: "metrics",
    tag: "service",
    summary: "Counts of what this process does, for Prometheus",
    description:
      "Prometheus' text format. The counts begin with the process. docs/operations.md says what each means.",
    scope: "admin",
    answers: {
      200: { description: "The metrics", text: { mediaType: "text/plain", example: EXAMPLE } },
    },
    errors: [],
    handle: async ({ c }, { host, readiness }) => {
      await Promise.all([countSessions(host), checkReadiness(readiness)]);
      objectsAwake.set(awake.count(now()));
      exchangesOpen.set(awake.openExchanges());
      return c.body(exposition(METRICS), 200, { "content-type": EXPOSITION_TYPE });
    },
  });
}
