/** The servers, each a process that can be killed and started again in its place. */
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { moduleFile } from "./installed.ts";

export interface Call {
  readonly name: string;
  readonly arguments: Readonly<Record<string, unknown>>;
}

/** The tools that a client is to call, by the names that its server has for them. */
export interface Calls {
  readonly echo: Call;
  /** Takes longer than the gateway waits for an answer that is no stream, and tells of three steps. */
  readonly count: Call;
  readonly fail: Call;
  /** Takes so long that the server is killed under it. */
  readonly long: Call;
}

export type Transport = "streamable" | "sse";

export interface ServerKind {
  readonly name: string;
  /** The arguments of Node: a program, and what it is started with. */
  readonly command: (port: number) => readonly string[];
  readonly env?: (port: number) => Readonly<Record<string, string>>;
  readonly path: string;
  readonly transport: Transport;
  readonly calls: Calls;
}

const OURS = {
  path: "/mcp",
  transport: "streamable",
  calls: {
    echo: { name: "echo", arguments: { text: "hello" } },
    count: { name: "count", arguments: { steps: 3, ms: 600 } },
    fail: { name: "fail", arguments: {} },
    long: { name: "count", arguments: { steps: 3, ms: 9000 } },
  },
} as const;

const EVERYTHING = {
  path: "/mcp",
  transport: "streamable",
  calls: {
    echo: { name: "echo", arguments: { message: "hello" } },
    count: { name: "trigger-long-running-operation", arguments: { duration: 0.6, steps: 3 } },
    // The tool's arguments are missing.
    fail: { name: "echo", arguments: {} },
    long: { name: "trigger-long-running-operation", arguments: { duration: 9, steps: 3 } },
  },
} as const;

const everything = () => moduleFile("@modelcontextprotocol/server-everything", "dist/index.js");
const ours = (name: string): ServerKind => ({
  ...OURS,
  name,
  command: (port) => [join(import.meta.dirname, "servers", `${name}.mjs`), String(port)],
});
const portVariable = (port: number) => ({ PORT: String(port) });
const stdio = () => `${process.execPath} ${everything()} stdio`;

/** The reference server, over both of its transports. */
export const REFERENCE: ServerKind = {
  ...EVERYTHING,
  name: "everything",
  command: () => [everything(), "streamableHttp"],
  env: portVariable,
};
export const REFERENCE_OVER_SSE: ServerKind = {
  ...EVERYTHING,
  name: "everything-sse",
  command: () => [everything(), "sse"],
  env: portVariable,
  path: "/sse",
  transport: "sse",
};

export const SERVERS: readonly ServerKind[] = [
  REFERENCE,
  REFERENCE_OVER_SSE,
  ...["fastmcp", "hono", "tmcp", "framework", "handler"].map(ours),
  {
    ...EVERYTHING,
    name: "supergateway",
    command: (port) => [
      moduleFile("supergateway", "dist/index.js"),
      "--stdio",
      stdio(),
      "--outputTransport",
      "streamableHttp",
      "--stateful",
      "--port",
      String(port),
    ],
  },
  {
    ...EVERYTHING,
    name: "supergateway-sse",
    command: (port) => [
      moduleFile("supergateway", "dist/index.js"),
      "--stdio",
      stdio(),
      "--outputTransport",
      "sse",
      "--port",
      String(port),
    ],
    path: "/sse",
    transport: "sse",
  },
  {
    ...EVERYTHING,
    name: "mcp-proxy",
    command: (port) => [
      moduleFile("mcp-proxy", "dist/bin/mcp-proxy.mjs"),
      "--port",
      String(port),
      "--host",
      "127.0.0.1",
      "--",
      process.execPath,
      everything(),
      "stdio",
    ],
  },
];

/** Milliseconds; one that does not listen by then will not. */
const PATIENCE_MS = 30_000;

/** The processes that still run. When this process ends, they end too, with all that they started. */
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach(killTree));

/** Watches over a process. */
export function guard(child: ChildProcess): ChildProcess {
  running.add(child);
  child.once("exit", () => running.delete(child));
  return child;
}

/** `kill -9`, of a process and of all that it started: supergateway's servers are of a group of their own, and would live on. */
export function killTree(child: ChildProcess): void {
  const { pid, exitCode, signalCode } = child;
  if (pid === undefined || exitCode !== null || signalCode !== null) return;
  // The process must start nothing more while this looks for its descendants.
  kill(pid, "SIGSTOP");
  const parents = spawnSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8" }).stdout;
  const pairs = parents
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number));
  const found = [pid];
  for (const parent of found) {
    for (const [one = 0, its] of pairs) if (its === parent) found.push(one);
  }
  for (const one of found) kill(one, "SIGKILL");
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // The process has ended by itself.
  }
}

export class RunningServer {
  readonly kind: ServerKind;
  readonly port: number;
  #child: ChildProcess | undefined;
  #said = "";

  constructor(kind: ServerKind, port: number) {
    this.kind = kind;
    this.port = port;
  }

  get url(): string {
    return `http://localhost:${this.port}${this.kind.path}`;
  }

  async start(): Promise<void> {
    const { command, env } = this.kind;
    const child = spawn(process.execPath, command(this.port), {
      env: { ...process.env, ...env?.(this.port) },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = guard(child);
    for (const stream of [child.stdout, child.stderr]) {
      stream.on(
        "data",
        (chunk: Buffer) => (this.#said = (this.#said + chunk.toString()).slice(-2000)),
      );
    }
    const until = Date.now() + PATIENCE_MS;
    while (!(await accepts(this.port))) {
      if (child.exitCode !== null || Date.now() > until)
        throw new Error(`${this.kind.name} did not start: ${this.#said}`);
      await delay(100);
    }
  }

  /** `kill -9`, and another in its place that knows no session. */
  async restart(): Promise<void> {
    await this.kill();
    await this.start();
  }

  /** `kill -9`, with all that it started. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const exit = once(child, "exit");
    killTree(child);
    await exit;
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "localhost" }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}
