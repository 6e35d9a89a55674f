/** A task is a session: the command and the console follow it as any other. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { CONSOLE_FOLDER } from "../../../../scripts/console.ts";
import { openBrowser } from "../../../support/browser.ts";
import { TaskClient, type ShownTask } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { packedCommand } from "../../../support/packed.ts";
import { atEnd, beside, shared } from "../../../support/scope.ts";
import { Service } from "../../../support/service.ts";

const opened = shared(async () => {
  const server = await TaskServer.start();
  const tasks = { afterMs: 0, pollIntervalMs: 10 };
  const UPSTREAMS = JSON.stringify({ default: { url: server.url, tasks } });
  const service = await Service.start({ UPSTREAMS }, { pages: CONSOLE_FOLDER });
  return { server, service, client: new TaskClient(`${service.url}/mcp`) };
});

it.concurrent(
  "`holdfast tail` prints each state of a task, and ends with it",
  beside(async ({ expect }) => {
    const { server, service, client } = await opened();
    const { taskId } = (await client.call("held", { label: "tailed" })).result;
    const child = spawn(process.execPath, [await packedCommand(), "tail", taskId], {
      env: { PATH: process.env["PATH"], HOLDFAST_URL: service.url },
      stdio: ["ignore", "pipe", "ignore"],
    });
    atEnd(() => void child.kill("SIGKILL"));
    const exit = once(child, "close");
    const states: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      const [event, data = ""] = line.split("\t");
      const task = JSON.parse(data) as ShownTask;
      expect([event, task.taskId]).toEqual(["status", taskId]);
      states.push(`${task.status} ${task.result?.content[0]?.text ?? ""}`.trim());
      server.release("tailed");
    }
    expect([states, (await exit)[0]]).toEqual([["working", "completed released tailed"], 0]);
  }),
  60_000,
);

it.concurrent(
  "the console shows a task live, from its tool to its result",
  beside(async () => {
    const { server, service, client } = await opened();
    const { taskId } = (await client.call("held", { label: "watched" })).result;
    const context = await (await openBrowser()).newContext();
    atEnd(() => context.close());
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    await page.goto(`${service.url}/console#/session/${taskId}`);
    const seen = (text: RegExp) => page.getByText(text).first().waitFor();
    await seen(/"status": ?"working"/);
    await seen(/held/);
    server.release("watched");
    await seen(/released watched/);
    expect((await client.get(taskId)).result.status).toBe("completed");
  }),
  120_000,
);
