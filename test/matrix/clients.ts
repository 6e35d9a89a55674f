/** The clients, each a process that does what the plan says (clients/plan.mjs) and tells what it saw. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { guard, killGroup, type ServerKind } from "./servers.ts";

export const CLIENTS = [
  "sdk-v1",
  "sdk-v2",
  "ai-sdk-old",
  "ai-sdk-new",
  "mcp-remote",
  "inspector",
] as const;
export type ClientName = (typeof CLIENTS)[number];

/** Milliseconds for all of a plan; a call that never resolves takes 10 s of them. */
const PATIENCE_MS = 30_000;

export class RunningClient {
  readonly #child: ChildProcess;
  readonly #lines: Interface;
  #complaint = "";

  /** `transport` is how it is to connect to `url`. */
  constructor(name: ClientName, url: string, transport: "streamable" | "sse", kind: ServerKind) {
    const { echo, count, fail } = kind;
    const plan = JSON.stringify({ transport, echo, count, fail });
    const program = join(import.meta.dirname, "clients", `${name}.mjs`);
    const child = spawn(process.execPath, [program, url, plan], {
      stdio: ["pipe", "pipe", "pipe"],
      detached: true,
    });
    this.#child = guard(child);
    child.stdin.on("error", () => undefined);
    this.#lines = createInterface({ input: child.stdout });
    child.stderr.on(
      "data",
      (chunk: Buffer) => (this.#complaint = (this.#complaint + chunk.toString()).slice(-1000)),
    );
  }

  /** Its report; or its stderr, if it ended without one. */
  async saw(): Promise<unknown> {
    const end = new AbortController();
    const timer = setTimeout(() => end.abort(), PATIENCE_MS);
    try {
      const line = once(this.#lines, "line", { signal: end.signal });
      const closed = once(this.#lines, "close", { signal: end.signal }).then(() => undefined);
      line.catch(() => undefined);
      closed.catch(() => undefined);
      const first = (await Promise.race([line, closed])) as [string] | undefined;
      return first ? (JSON.parse(first[0]) as unknown) : { ended: firstErrorIn(this.#complaint) };
    } catch {
      return { ended: "it said nothing in time" };
    } finally {
      clearTimeout(timer);
      end.abort();
    }
  }

  /** One more call of `echo`. */
  again(): Promise<unknown> {
    const saw = this.saw();
    this.#child.stdin?.write("again\n");
    return saw;
  }

  stop(): void {
    killGroup(this.#child);
  }
}

function firstErrorIn(text: string): string {
  return /^.*Error.*$/m.exec(text)?.[0]?.slice(0, 300) ?? text.slice(0, 300);
}
