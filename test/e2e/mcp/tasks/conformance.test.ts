/**
 * The scenarios of tasks of the official suite, in front of a server that knows nothing of tasks. The tenth,
 * `tasks-status-notifications`, skips itself.
 */
import { expect, it } from "vitest";
import { local, scenario } from "../../../support/mcp/conformance.ts";
import { startGateway } from "../../../support/mcp/gateway.ts";
import { SECOND_MS, TaskServer } from "../../../support/mcp/task-server.ts";
import { beside, shared } from "../../../support/scope.ts";

const gateway = shared(async () => {
  const server = await TaskServer.start();
  const tasks = {
    afterMs: SECOND_MS * 0.7,
    pollIntervalMs: 100,
    required: ["failing_job", "test_tool_with_task"],
  };
  return startGateway({ default: { url: server.url, tasks } });
});

it.concurrent.each([
  ["lifecycle", 9],
  ["capability-negotiation", 5],
  ["wire-fields", 4],
  ["request-state-removal", 3],
  ["mrtr-input", 4],
  ["request-headers", 5],
  ["dispatch-and-envelope", 9],
  ["required-task-error", 3],
  ["mrtr-composition", 2],
])(
  "tasks-%s",
  (name, checks) =>
    beside(async () => {
      const { url } = await gateway();
      const outcome = await scenario(local(url), `tasks-${name}`);
      expect([outcome.failed, outcome.passed]).toEqual([[], checks]);
    })(),
  90_000,
);
