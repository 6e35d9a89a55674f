/** The tool's name in the metadata of a task, for people who look at its session. */
import { expect, it } from "vitest";
import { MAX_TASK_TOOL_LENGTH } from "../../../../src/core/limits.ts";
import {
  never,
  ObjectInNode,
  pass,
  toolCall,
  withObjects,
} from "../../../support/mcp/object-in-node.ts";

withObjects();

it.each([
  [MAX_TASK_TOOL_LENGTH, "x".repeat(MAX_TASK_TOOL_LENGTH)],
  [MAX_TASK_TOOL_LENGTH + 1, `${"x".repeat(MAX_TASK_TOOL_LENGTH - 1)}…`],
])("of %i characters is %s", async (length, stored) => {
  const afterMs = 100;
  const one = ObjectInNode.empty({ script: never, upstream: { tasks: { afterMs } } });
  const tool = "x".repeat(length);
  const body = toolCall(1, tool);
  const ask = { kind: "call", upstream: "default", body, id: "1", tool, headers: {} } as const;
  const answer = one.object.task({ admin: true }, one.id, ask);
  await pass(afterMs);
  expect(await answer).toMatchObject({ ok: true });
  expect(one.object.read({ admin: true }, false)).toMatchObject({
    value: { metadata: { tool: stored } },
  });
});
