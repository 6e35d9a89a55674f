/**
 * mcp-remote as a bridge from a client of sessions to a server of 2026-07-28. It takes its client over stdio, so
 * a server over stdio stands beside it: that client's direct call.
 */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { keepBusy, sampleOf } from "../../client/load.ts";
import type { Contender } from "../../measure.ts";
import { peerFile } from "../installed.ts";
import { callLoad, INITIALIZE_LOAD } from "../mcp-sessions.ts";

type OverStdio = Contender & { stop(): Promise<void> };

export function startMcpRemote(upstream: string): Promise<OverStdio> {
  const options = ["--protocol", "auto", "--transport", "http-only", "--silent"];
  return startOverStdio("mcp-remote", [
    peerFile("mcp-remote", "dist", "proxy.js"),
    upstream,
    ...options,
  ]);
}

/** One call at a time. The load is in this process. `args` are those of Node. */
export async function startOverStdio(name: string, args: readonly string[]): Promise<OverStdio> {
  const child = spawn(process.execPath, args, { stdio: ["pipe", "pipe", "ignore"] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async ({ body = "", answerHolds = "" }: typeof INITIALIZE_LOAD, n = 0) => {
    child.stdin.write(`${body.replace("$n", String(n))}\n`);
    const { value } = await lines.next();
    if (!String(value).includes(answerHolds)) throw new Error(`${name} answered ${value}`);
  };
  await ask(INITIALIZE_LOAD);
  let calls = 0;
  return {
    name,
    pid: child.pid ?? 0,
    async run(seconds) {
      const latencies: number[] = [];
      const started = performance.now();
      await keepBusy(1, seconds, async () => {
        const sent = performance.now();
        await ask(callLoad([]), ++calls);
        latencies.push(performance.now() - sent);
      });
      return sampleOf(latencies, 0, performance.now() - started);
    },
    stop: async () => void child.kill("SIGKILL"),
  };
}
