/**
 * The scenarios of tasks of the official suite, in front of a server that knows nothing of tasks. The tenth,
 * `tasks-status-notifications`, skips itself.
 */
import { expect, it } from "vitest";
import type { Era } from "../../../../src/gateway/eras/speaks.ts";
import { local, scenario } from "../../../support/mcp/conformance.ts";
import { startGateway } from "../../../support/mcp/gateway.ts";
import { SECOND_MS, TaskServer } from "../../../support/mcp/task-server.ts";
import { beside, shared } from "../../../support/scope.ts";

const gateway = shared(async (era: Era) => {
  const server = await TaskServer.start(era);
  const tasks = {
    afterMs: SECOND_MS * 0.7,
    pollIntervalMs: 100,
    required: ["failing_job", "test_tool_with_task"],
  };
  return startGateway({ default: { url: server.url, tasks } });
});

/**
 * The checks that each scenario makes, in two rows that run beside each other. The first of a row calls no tool
 * that answers at once: a client's first call makes its session with the server, for which a busy machine
 * may take as long as a call may without becoming a task.
 */
const ROWS: readonly Readonly<Record<string, number>>[] = [
  {
    "tasks-required-task-error": 3,
    "tasks-lifecycle": 9,
    "tasks-wire-fields": 4,
    "tasks-request-state-removal": 3,
  },
  {
    "tasks-mrtr-input": 4,
    "tasks-capability-negotiation": 5,
    "tasks-request-headers": 5,
    "tasks-dispatch-and-envelope": 9,
    "tasks-mrtr-composition": 2,
  },
];

// Each scenario is a program. All at once would slow each other down.
it.concurrent.each<[Era, number]>([
  ["modern", 0],
  ["modern", 1],
  ["legacy", 0],
  ["legacy", 1],
])(
  "in front of a %s server every check of every scenario passes (row %i)",
  (era, row) =>
    beside(async () => {
      const { url } = await gateway(era);
      for (const [name, checks] of Object.entries(ROWS[row] ?? {})) {
        const outcome = await scenario(local(url), name);
        expect([name, outcome.failed, outcome.passed]).toEqual([name, [], checks]);
      }
    })(),
  5 * 60_000,
);
