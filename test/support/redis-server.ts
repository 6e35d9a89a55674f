/**
 * Real Redis servers for tests, on free loopback ports. The test that started one ends it and
 * removes its folder; at the latest, both happen when the test process ends.
 */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort } from "./free-port.ts";

export interface RedisServer {
  readonly port: number;
  /** `host:port`. */
  readonly addr: string;
  readonly pid: number;
  /** Its own directory: configuration and data. */
  readonly dir: string;
  /** Ends the process at once, without a word to its clients. Its data stay. */
  kill(): Promise<void>;
  /**
   * Starts it again on its port with its data, after `kill`, and waits until it is
   * ready or, where that is asked for, until it listens although it still loads.
   */
  restart(args?: readonly string[], until?: "ready" | "listening"): Promise<void>;
  /** Stops the process from running, so that it takes connections and never answers; and lets it go on. */
  freeze(): void;
  thaw(): void;
  /** Ends the process and removes its data. */
  stop(): Promise<void>;
}

export interface RedisServerOptions {
  /** Arguments after the defaults: no snapshots, loopback only. */
  readonly args?: readonly string[];
  readonly port?: number;
  /** Arguments in place of the port's, for a server that listens with TLS alone. */
  readonly listen?: (port: number) => readonly string[];
  /** Starts a Sentinel from the file `sentinel.conf`, which `prepare` writes. */
  readonly sentinel?: boolean;
  /** Makes the directory ready before the first start. */
  readonly prepare?: (dir: string) => void | Promise<void>;
}

/** A Redis of a test that has not said that it is ready by then will not. */
const START_TIMEOUT_MS = 10_000;
const NOT_INSTALLED = "it is not installed (on Debian: apt-get install redis-server)";
const READY = /Ready to accept connections|Sentinel ID is/;
const LISTENING = /Server initialized/;

const running = new Set<ChildProcess>();
const directories = new Set<string>();
process.on("exit", () => {
  for (const child of running) child.kill("SIGKILL");
  directories.forEach(remove);
});
// The runner ends a process of tests by SIGTERM, of which Node makes no exit. A program of its own has its own listener.
process.once("SIGTERM", () => {
  if (process.listenerCount("SIGTERM") === 0) process.exit(143);
});

export async function startRedis(options: RedisServerOptions = {}): Promise<RedisServer> {
  const port = options.port ?? (await freePort());
  const dir = mkdtempSync(join(tmpdir(), "holdfast-redis-"));
  directories.add(dir);
  const listen = options.listen?.(port) ?? ["--port", String(port)];
  const args = options.sentinel
    ? [join(dir, "sentinel.conf"), "--sentinel"]
    : ["--save", "", "--bind", "127.0.0.1"];
  const launch = (more: readonly string[] = [], ready = READY) =>
    spawnRedis([...args, ...listen, "--dir", dir, ...(options.args ?? []), ...more], ready);
  let child: ChildProcess;
  try {
    await options.prepare?.(dir);
    child = await launch();
  } catch (failure) {
    remove(dir);
    throw failure;
  }
  return {
    port,
    addr: `127.0.0.1:${port}`,
    dir,
    get pid() {
      return child.pid ?? 0;
    },
    kill: () => end(child),
    async restart(more, until) {
      child = await launch(more, until === "listening" ? LISTENING : READY);
    },
    freeze: () => void child.kill("SIGSTOP"),
    thaw: () => void child.kill("SIGCONT"),
    async stop() {
      await end(child);
      remove(dir);
    },
  };
}

/** Tries again where one that has just been killed still writes. */
function remove(dir: string): void {
  rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 30 });
  directories.delete(dir);
}

function spawnRedis(args: readonly string[], ready: RegExp): Promise<ChildProcess> {
  return new Promise((resolve, reject) => {
    const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "pipe"] });
    running.add(child);
    let output = "";
    const timer = setTimeout(() => fail("it did not become ready in time"), START_TIMEOUT_MS);
    const fail = (why: string) => {
      clearTimeout(timer);
      child.kill("SIGKILL");
      reject(new Error(`redis-server did not start: ${why}\n${output}`));
    };
    const read = (chunk: Buffer) => {
      output += chunk.toString();
      if (!ready.test(output)) return;
      clearTimeout(timer);
      // The pipe must go on being read, or the server stops when it is full.
      child.stdout?.off("data", read).resume();
      child.stderr?.resume();
      resolve(child);
    };
    child.stdout?.on("data", read);
    child.stderr?.on("data", read);
    child.once("error", (error: NodeJS.ErrnoException) =>
      fail(error.code === "ENOENT" ? NOT_INSTALLED : error.message),
    );
    child.once("exit", (code) => {
      running.delete(child);
      fail(`it ended with ${code}`);
    });
  });
}

function end(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve();
    child.once("exit", () => resolve());
    child.kill("SIGKILL");
  });
}
