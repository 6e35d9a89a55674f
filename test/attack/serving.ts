/** `npm run serve` as a process of its own, as an operator runs it, and what it takes of the machine. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { PROJECT } from "../../scripts/bundle.ts";
import { freePort } from "../support/free-port.ts";

export interface ServingOptions {
  readonly stateDir: string;
  /** How many files its process may have open. */
  readonly openFiles: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Runs the command that follows, in a place of its own. */
  readonly enter?: readonly string[];
}

const SAMPLE_MS = 200;
/** Lines that are kept of what was said before an end. */
const SAID_BEFORE = 3;

/** Killed with this process. */
const running = new Set<ChildProcess>();
process.once("exit", () => running.forEach((child) => child.kill("SIGKILL")));

export class Serving {
  readonly #options: ServingOptions;
  readonly port: number;
  #process: ChildProcess | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** The last log lines before and at each end of workerd that came by itself. */
  readonly ends: string[] = [];
  /** The most memory of its process, in MiB. */
  peakMb = 0;

  private constructor(options: ServingOptions, port: number) {
    this.#options = options;
    this.port = port;
  }

  static async start(options: ServingOptions): Promise<Serving> {
    const serving = new Serving(options, await freePort());
    await serving.start();
    return serving;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get stateDir(): string {
    return this.#options.stateDir;
  }

  /** Whether `npm run serve` itself runs. */
  get isUp(): boolean {
    return this.#process?.exitCode === null && this.#process.signalCode === null;
  }

  async start(): Promise<void> {
    const { openFiles, stateDir, env, enter = [] } = this.#options;
    const limited = `cd "${PROJECT}" && ulimit -n ${openFiles} && exec "${process.execPath}" bin/holdfast.js serve`;
    const [command = "", ...args] = [...enter, "sh", "-c", limited];
    const child = spawn(command, args, {
      env: { ...process.env, PORT: String(this.port), STATE_DIR: stateDir, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#process = child;
    running.add(child);
    void once(child, "exit").then(() => running.delete(child));
    const said: string[] = [];
    let last: string[] = [];
    const listens = new Promise<void>((resolve) => {
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          if (said.length < 50) said.push(line);
          if (line.startsWith("holdfast listening on ")) resolve();
          last = [...last, line].slice(-SAID_BEFORE);
          if (line.includes('"workerd.ended"')) this.ends.push(last.join(" | "));
        });
      }
    });
    const ended = once(child, "exit").then(() => {
      throw new Error(`serve ended before it listened:\n${said.join("\n")}`);
    });
    await Promise.race([listens, ended]);
    ended.catch(() => undefined);
    this.#timer = setInterval(() => {
      this.peakMb = Math.max(this.peakMb, this.memoryMb);
    }, SAMPLE_MS);
  }

  /** Ends it as an operator does. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    if (!this.#process || !this.isUp) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGTERM");
    await ended;
  }

  fetch(path: string, init?: RequestInit): Promise<Response> {
    return fetch(this.url + path, init);
  }

  /** MiB of memory of workerd's process now; 0 while it does not run. */
  get memoryMb(): number {
    const kib = /^VmRSS:\s+(\d+)/m.exec(this.#proc("status"))?.[1] ?? "0";
    return Math.round(Number(kib) / 1024);
  }

  /** Files that it has open. */
  get openFiles(): number {
    const pid = this.#workerd();
    if (pid === undefined) return 0;
    try {
      return readdirSync(`/proc/${pid}/fd`).length;
    } catch {
      return 0;
    }
  }

  /** Databases of sessions on the disk. */
  get storedFiles(): number {
    const objects = join(this.stateDir, "objects", "SessionObject");
    return readdirSync(objects).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name)).length;
  }

  #proc(file: string): string {
    const pid = this.#workerd();
    if (pid === undefined) return "";
    try {
      return readFileSync(`/proc/${pid}/${file}`, "utf8");
    } catch {
      return "";
    }
  }

  /** The process that serve has started. */
  #workerd(): string | undefined {
    const parent = this.#process?.pid;
    try {
      const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8");
      return children
        .trim()
        .split(" ")
        .find((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("workerd"));
    } catch {
      return undefined;
    }
  }
}
