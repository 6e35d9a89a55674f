/** The Inspector's command line: a process, and a session, for each call. */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { drive, plan, url } from "./plan.mjs";

const bin = join(import.meta.dirname, "..", "node_modules", ".bin", "mcp-inspector");
const transport = plan.transport === "sse" ? "sse" : "http";

async function run(...args) {
  const command = ["--cli", url, "--transport", transport, ...args];
  const { stdout } = await promisify(execFile)(bin, command, { timeout: 30_000 });
  return JSON.parse(stdout);
}

await drive({
  tools: async () => (await run("--method", "tools/list")).tools.map(({ name }) => name),
  call: ({ name, arguments: args }) =>
    run(
      "--method",
      "tools/call",
      "--tool-name",
      name,
      ...Object.entries(args).flatMap(([key, value]) => ["--tool-arg", `${key}=${value}`]),
    ),
  close: async () => undefined,
});
