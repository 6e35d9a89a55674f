/**
 * What the gateway adds to a quick `tools/call`, against the same upstream direct.
 *
 * One process is the upstream (Node, JSON answers, no work), one is the gateway
 * (workerd, the production bundle), and this one is the client, all on one machine.
 * Runs alternate between direct and gateway, so that a machine that slows down slows
 * both; the figures are of all runs of a kind. `npm run bench:mcp`.
 */
import { fork } from "node:child_process";
import { once } from "node:events";
import { Agent, request as httpRequest } from "node:http";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildBundle } from "../scripts/bundle.ts";
import { startWorkerd } from "../scripts/workerd.ts";

const ROUNDS = 3;
const SEQUENTIAL_CALLS = 300;
const CONCURRENT_CALLS = 1500;
const CONCURRENCY = 20;
const SESSIONS = 20;

const agent = new Agent({ keepAlive: true, maxSockets: CONCURRENCY });

interface Target {
  readonly name: string;
  readonly url: string;
  readonly sessions: readonly string[];
}

function post(
  url: string,
  body: object,
  sid?: string,
): Promise<{ status: number; sid: string; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...(sid !== undefined && { "mcp-session-id": sid }),
    };
    const request = httpRequest(url, { method: "POST", headers, agent }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => (text += chunk));
      response.on("end", () => {
        const given = String(response.headers["mcp-session-id"] ?? "");
        resolve({ status: response.statusCode ?? 0, sid: given, text });
      });
    });
    request.on("error", reject);
    request.end(JSON.stringify(body));
  });
}

async function openTarget(name: string, url: string): Promise<Target> {
  const sessions: string[] = [];
  for (let n = 0; n < SESSIONS; n++) {
    const params = {
      protocolVersion: "2025-11-25",
      capabilities: {},
      clientInfo: { name: "bench", version: "1" },
    };
    const answer = await post(url, { jsonrpc: "2.0", id: 0, method: "initialize", params });
    sessions.push(answer.sid);
  }
  return { name, url, sessions };
}

async function callOnce({ url, sessions }: Target, n: number): Promise<number> {
  const body = { jsonrpc: "2.0", id: n, method: "tools/call", params: { name: "x" } };
  const started = performance.now();
  const { status, text } = await post(url, body, sessions[n % sessions.length]);
  if (status !== 200 || !text.includes('"result"')) throw new Error(`${status} ${text}`);
  return performance.now() - started;
}

async function sequential(target: Target): Promise<number[]> {
  const times: number[] = [];
  for (let n = 0; n < SEQUENTIAL_CALLS; n++) times.push(await callOnce(target, n));
  return times;
}

/** Calls a second. */
async function concurrent(target: Target): Promise<number> {
  let next = 0;
  const started = performance.now();
  const worker = async () => {
    while (next < CONCURRENT_CALLS) await callOnce(target, next++);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return (CONCURRENT_CALLS * 1000) / (performance.now() - started);
}

function quantile(times: readonly number[], q: number): number {
  const sorted = times.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? NaN;
}

async function main(): Promise<void> {
  const upstream = fork(join(import.meta.dirname, "mcp-upstream.ts"), {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  const [upstreamUrl] = (await once(upstream, "message")) as [string];
  const stateDir = await mkdtemp(join(tmpdir(), "holdfast-bench-"));
  const bundle = await buildBundle();
  const workerd = await startWorkerd({
    bundle: bundle.path,
    host: "127.0.0.1",
    port: 0,
    stateDir,
    env: { UPSTREAMS: JSON.stringify({ default: { url: upstreamUrl } }), LOG_LEVEL: "error" },
    onLine: (line) => console.error(line),
  });
  try {
    const targets = [
      await openTarget("direct", upstreamUrl),
      await openTarget("gateway", `${workerd.url}/mcp`),
    ];
    for (const target of targets) await sequential(target);
    const latency = new Map<string, number[]>();
    const rates = new Map<string, number[]>();
    for (let round = 0; round < ROUNDS; round++) {
      for (const target of targets) {
        latency.set(target.name, [
          ...(latency.get(target.name) ?? []),
          ...(await sequential(target)),
        ]);
        rates.set(target.name, [...(rates.get(target.name) ?? []), await concurrent(target)]);
      }
    }
    for (const { name } of targets) {
      const times = latency.get(name) ?? [];
      console.log(
        `${name.padEnd(8)} p50 ${quantile(times, 0.5).toFixed(2)} ms, p95 ${quantile(times, 0.95).toFixed(2)} ms; ` +
          `${CONCURRENCY} at once: ${quantile(rates.get(name) ?? [], 0.5).toFixed(0)} calls/s`,
      );
    }
  } finally {
    agent.destroy();
    upstream.kill("SIGKILL");
    await workerd.stop(0);
    await rm(stateDir, { recursive: true, force: true });
  }
}

await main();
