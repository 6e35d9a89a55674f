/** A task is a session, so the command and the console follow it like every other session. */
import { join } from "node:path";
import { it } from "vitest";
import { PROJECT } from "../../../../scripts/bundle.ts";
import { CONSOLE_FOLDER } from "../../../../scripts/console.ts";
import { openBrowser } from "../../../support/browser.ts";
import { run } from "../../../support/command.ts";
import { TaskClient, type ShownTask } from "../../../support/mcp/task-client.ts";
import { TaskServer } from "../../../support/mcp/task-server.ts";
import { atEnd, beside, shared } from "../../../support/scope.ts";
import { Service } from "../../../support/service.ts";

const opened = shared(async () => {
  const server = await TaskServer.start();
  const tasks = { afterMs: 0, pollIntervalMs: 10 };
  const UPSTREAMS = JSON.stringify({ default: { url: server.url, tasks } });
  const service = await Service.start({ UPSTREAMS }, { pages: CONSOLE_FOLDER });
  return { server, service, client: new TaskClient(`${service.url}/mcp`) };
});

/** Runs `holdfast tail` from its source. */
const tail = (id: string): string => `
  const { main } = await import(${JSON.stringify(join(PROJECT, "scripts/command/main.ts"))});
  const at = { package: ${JSON.stringify(join(PROJECT, "package.json"))} };
  await main(["tail", ${JSON.stringify(id)}], at);
`;

it.concurrent(
  "`holdfast tail` prints each state of a task, and ends with it",
  beside(async ({ expect }) => {
    const { server, service, client } = await opened();
    const { taskId } = (await client.call("held", { label: "tailed" })).result;
    const env = { HOLDFAST_URL: service.url };
    const tailed = run(["--input-type=module", "--eval", tail(taskId)], env);
    await tailed.printed(/"working"/);
    server.release("tailed");
    expect(await tailed.closed).toBe(0);
    const events = tailed.lines.filter((line) => line.startsWith("status\t"));
    const states = events.map((line) => JSON.parse(line.slice("status\t".length)) as ShownTask);
    expect(states).toMatchObject([
      { taskId, status: "working" },
      { taskId, status: "completed", result: { content: [{ text: "released tailed" }] } },
    ]);
  }),
  60_000,
);

it.concurrent(
  "the console shows a task live, from its tool to its result",
  beside(async ({ expect }) => {
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
