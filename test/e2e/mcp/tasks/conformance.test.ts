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

it.concurrent.each(
  (
    [
      ["lifecycle", 9],
      ["capability-negotiation", 5],
      ["wire-fields", 4],
      ["request-state-removal", 3],
      ["mrtr-input", 4],
      ["request-headers", 5],
      ["dispatch-and-envelope", 9],
      ["required-task-error", 3],
      ["mrtr-composition", 2],
    ] as const
  ).flatMap(([name, checks]) => [
    ["modern", name, checks] as [Era, string, number],
    ["legacy", name, checks] as [Era, string, number],
  ]),
)(
  "in front of a %s server: tasks-%s",
  (era, name, checks) =>
    beside(async () => {
      const { url } = await gateway(era);
      const outcome = await scenario(local(url), `tasks-${name}`);
      expect([outcome.failed, outcome.passed]).toEqual([[], checks]);
    })(),
  90_000,
);
