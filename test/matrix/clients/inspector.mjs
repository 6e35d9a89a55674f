/** The Inspector's command line: a process, and a session, for each call. */
import { execFile } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { drive, plan, url } from "./plan.mjs";

const { resolve } = createRequire(import.meta.url);
const folder = dirname(resolve("@modelcontextprotocol/inspector/package.json"));
const launcher = join(folder, "clients/launcher/build/index.js");
const transport = plan.transport === "sse" ? "sse" : "http";

async function run(...args) {
  const command = [launcher, "--cli", url, "--transport", transport, ...args];
  const started = promisify(execFile)(process.execPath, command, { timeout: 30_000 });
  const { stdout } = await started.catch(({ stdout: out, stderr: err, message }) => {
    // The message alone is the command line, which names the transport.
    throw new Error(err || out || message);
  });
  return JSON.parse(stdout);
}

await drive({
  tools: async () => (await run("--method", "tools/list")).tools,
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
