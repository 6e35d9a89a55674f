/** The clients, each a process that does what the plan says (clients/plan.mjs) and tells what it saw. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { makeFolder, remove } from "./folder.ts";
import { guard, killTree, type Calls, type Transport } from "./servers.ts";

export const CLIENTS = [
  "sdk-v1",
  "sdk-v2",
  "ai-sdk-old",
  "ai-sdk-new",
  "mcp-remote",
  "inspector",
] as const;
export type ClientName = (typeof CLIENTS)[number];

/** The answer to a call: the result, or the message of its failure. */
export type Outcome =
  | { readonly isError: boolean; readonly content: unknown }
  | { readonly failed: string };

export interface Seen {
  /** As the server describes them. */
  readonly tools: readonly { readonly name: string }[];
  readonly echo: Outcome;
  readonly count: Outcome;
  readonly fail: Outcome;
  readonly progress: readonly number[];
}

/** Milliseconds for each thing that is asked of a client; the clients give up a call after 10 s. */
const PATIENCE_MS = 30_000;

/** A client that ended, or said nothing in time. */
class ClientFailure extends Error {
  override readonly name = "ClientFailure";
}

export class RunningClient {
  readonly #child: ChildProcess;
  /** A folder of its own for its files, so that it finds none of another client. */
  readonly #home = makeFolder();
  readonly #lines: Interface;
  readonly #said: string[] = [];
  #complaint = "";
  /** The results of the plan, as the client saw them. */
  readonly seen: Promise<Seen>;

  constructor(name: ClientName, url: string, transport: Transport, calls: Calls) {
    const program = join(import.meta.dirname, "clients", `${name}.mjs`);
    const plan = JSON.stringify({ transport, calls });
    const child = spawn(process.execPath, [program, url, plan], {
      env: { ...process.env, HOME: this.#home, TMPDIR: this.#home },
      stdio: ["pipe", "pipe", "pipe"],
    });
    this.#child = guard(child);
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (chunk: Buffer) => {
      this.#complaint = (this.#complaint + chunk.toString()).slice(-1000);
    });
    this.#lines = createInterface({ input: child.stdout });
    this.#lines.on("line", (line) => this.#said.push(line));
    this.seen = this.#next() as Promise<Seen>;
    // A caller that awaits it gets the failure. After the run was given up nobody does.
    this.seen.catch(() => undefined);
  }

  /** Makes one more call of the plan. Throws a ClientFailure. */
  async call(which: keyof Calls): Promise<Outcome> {
    await this.seen;
    this.#child.stdin?.write(`${which}\n`);
    return (await this.#next()) as Outcome;
  }

  async stop(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    const ended = exitCode === null && signalCode === null ? once(this.#child, "exit") : undefined;
    killTree(this.#child);
    await ended;
    remove(this.#home);
  }

  async #next(): Promise<unknown> {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const closed = once(this.#lines, "close", { signal });
    closed.catch(() => undefined);
    while (this.#said.length === 0) {
      try {
        const line = once(this.#lines, "line", { signal });
        line.catch(() => undefined);
        await Promise.race([line, closed]);
      } catch {
        throw new ClientFailure("it said nothing in time");
      }
      if (this.#said.length === 0) throw new ClientFailure(firstErrorIn(this.#complaint));
    }
    return JSON.parse(this.#said.shift() ?? "") as unknown;
  }
}

function firstErrorIn(text: string): string {
  return /^.*Error.*$/m.exec(text)?.[0]?.slice(0, 300) ?? text.slice(0, 300);
}
