/**
 * Anything may happen in any order to tasks of two owners, also to the service, the upstream and the connections
 * between: a task ends once, with the result that the upstream gave; no tool runs twice; nobody else sees it; none
 * stays at work. `kill -9` takes all objects out of memory; test/unit/gateway/tasks evicts one.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { apiTokens } from "../../../support/api-tokens.ts";
import { startGateway } from "../../../support/mcp/gateway.ts";
import { TaskClient, type ShownTask } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { Relay } from "../../../support/relay.ts";

const OWNERS = ["ada", "bob"] as const;
const ENDED = ["completed", "failed", "cancelled"];

type Step =
  | { readonly kind: "create"; readonly owner: number }
  | { readonly kind: "ask"; readonly owner: number }
  | { readonly kind: "get" | "release" | "cancel" | "answer" | "spy"; readonly task: number }
  /** The clients' connections break while a call and a request about a task are under way. */
  | { readonly kind: "cut"; readonly owner: number; readonly task: number }
  | { readonly kind: "kill" | "restartUpstream" };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("create" as const), owner: fc.nat(1) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("ask" as const), owner: fc.nat(1) }) },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        "get" as const,
        "release" as const,
        "cancel" as const,
        "answer" as const,
        "spy" as const,
      ),
      task: fc.nat(9),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("cut" as const),
      owner: fc.nat(1),
      task: fc.nat(9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constantFrom("kill" as const, "restartUpstream" as const) }),
  },
);

interface Known {
  readonly id: string;
  readonly owner: number;
  /** Of a task that the test holds; undefined for one that asks. */
  readonly label?: string;
  /** The task when it was first seen to have ended. */
  end?: ShownTask;
}

it("ends once and truly, runs once, and belongs to one owner", async () => {
  const server = await TaskServer.start();
  const { variable, secrets } = await apiTokens({ ada: ["ada", ["mcp"]], bob: ["bob", ["mcp"]] });
  const { service } = await startGateway(
    { default: { url: server.url, tasks: { afterMs: 0, pollIntervalMs: 10 } } },
    { AUTH: "token", API_TOKENS: variable },
  );
  const relay = await Relay.to(service.port);
  const url = `${relay.url}/mcp`;
  const clients = OWNERS.map((_, n) => new TaskClient(url, { token: secrets[n]! }));
  let labels = 0;
  /** Labels of calls whose client never heard of a task. */
  const unheard: string[] = [];

  /** Makes a call whose client is cut off as soon as the tool runs: it may know of its task, or not. */
  const cut = async (owner: number, tasks: Known[], other: Known | undefined): Promise<void> => {
    const label = `any-${labels++}`;
    const none = (): undefined => undefined;
    const creating = clients[owner]!.call("held", { label }).catch(none);
    const asking = other && clients[other.owner]!.get(other.id).catch(none);
    await Promise.race([creating, server.until(() => server.runs.has(label))]);
    relay.cut();
    const made = await creating;
    await asking;
    if (made?.result?.taskId) tasks.push({ id: made.result.taskId, owner, label });
    else unheard.push(label);
  };

  const look = async (task: Known): Promise<ShownTask> => {
    const { result, error } = await clients[task.owner]!.get(task.id);
    if (error) throw new Error(`${error.code}: ${error.message}`);
    if (task.end) expect(result).toEqual(task.end);
    if (!ENDED.includes(result.status)) return result;
    task.end = result;
    if (result.status === "completed") {
      const said = task.label === undefined ? "both" : `released ${task.label}`;
      expect(result.result?.content).toMatchObject([{ text: said }]);
    } else if (result.status === "failed") expect(result.error?.code).toBe(-32603);
    return result;
  };

  const happen = async (one: Step, tasks: Known[]): Promise<void> => {
    const task = "task" in one ? tasks[one.task % Math.max(1, tasks.length)] : undefined;
    switch (one.kind) {
      case "create": {
        const label = `any-${labels++}`;
        const { result } = await clients[one.owner]!.call("held", { label });
        // The upstream may be down in the moment: then the call itself is answered, with an error.
        if (result?.taskId) tasks.push({ id: result.taskId, owner: one.owner, label });
        return;
      }
      case "ask": {
        const { result } = await clients[one.owner]!.call("multi_input");
        if (result?.taskId) tasks.push({ id: result.taskId, owner: one.owner });
        return;
      }
      case "cut":
        return cut(one.owner, tasks, task);
      case "kill":
        await service.kill();
        return service.restart();
      case "restartUpstream":
        await server.stop();
        return server.listen();
      default:
        if (!task) return;
    }
    const client = clients[task.owner]!;
    const stranger = clients[1 - task.owner]!;
    switch (one.kind) {
      case "get":
        await look(task);
        return;
      case "release":
        return server.release(task.label ?? "");
      case "cancel":
        await client.ask("tasks/cancel", { taskId: task.id });
        expect(ENDED).toContain((await look(task)).status);
        return;
      case "answer": {
        const { inputRequests = {} } = await look(task);
        const accepted = { action: "accept", content: { name: "n" } };
        const answers = Object.keys(inputRequests).map((key) => [key, accepted] as const);
        const inputResponses = Object.fromEntries(answers);
        await client.ask("tasks/update", { taskId: task.id, inputResponses });
        return;
      }
      case "spy": {
        const asked = [
          stranger.get(task.id),
          stranger.ask("tasks/cancel", { taskId: task.id }),
          stranger.ask("tasks/update", { taskId: task.id, inputResponses: {} }),
        ];
        for (const { error } of await Promise.all(asked)) expect(error.code).toBe(-32602);
      }
    }
  };

  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 25 }), async (steps) => {
      const tasks: Known[] = [];
      for (const one of steps) await happen(one, tasks);
      // Each comes to its end, once nothing is in its way any more.
      for (const task of tasks) {
        for (
          let state = await look(task);
          !ENDED.includes(state.status);
          state = await look(task)
        ) {
          await happen({ kind: "release", task: tasks.indexOf(task) }, tasks);
          await happen({ kind: "answer", task: tasks.indexOf(task) }, tasks);
        }
        if (task.label !== undefined) expect(server.runs.get(task.label) ?? 0).toBeLessThan(2);
      }
      for (const label of unheard) {
        server.release(label);
        expect(server.runs.get(label) ?? 0).toBeLessThan(2);
      }
    }),
    { numRuns: 6 },
  );
}, 120_000);
