/**
 * A small disk in memory, that fills and empties without any other disk. It is mounted in a
 * namespace of its own, which a process holds: so it needs `unshare` and the right to make
 * namespaces (root, or a system that lets users make their own), and it is gone with that process.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";

const MOUNT = `mount -t tmpfs -o size="$2"m holdfast "$1" && echo mounted && exec cat`;
const CHUNKS = [1024 * 1024, 4096, 1];

export class SmallDisk {
  readonly #holder: ChildProcess;
  /**
   * Its folder, as processes outside of the namespace reach it. Not for SQLite, which follows links
   * by itself and ends up in the folder below.
   */
  readonly path: string;

  private constructor(holder: ChildProcess, folder: string) {
    this.#holder = holder;
    this.path = join("/proc", String(holder.pid), "root", folder);
  }

  /** Rejects where the system does not allow it, and says what is needed. */
  static async mount(folder: string, megabytes: number): Promise<SmallDisk> {
    mkdirSync(folder, { recursive: true });
    const args = ["--map-root-user", "--mount", "sh", "-c", MOUNT, "sh", folder, String(megabytes)];
    // The holder's input is a pipe from here: it ends when this process does.
    const holder = spawn("unshare", args, { stdio: ["pipe", "pipe", "inherit"] });
    const mounted = once(holder.stdout, "data").then(() => true);
    const failed = once(holder, "exit").then(
      () => false,
      () => false,
    );
    if (await Promise.race([mounted, failed])) return new SmallDisk(holder, folder);
    throw new Error("a small disk needs unshare (util-linux), and root or user namespaces");
  }

  /** Runs the command that follows where the disk is mounted, so that it finds it in its folder. */
  get enter(): readonly string[] {
    return [
      "nsenter",
      `--target=${this.#holder.pid}`,
      "--user",
      "--mount",
      "--preserve-credentials",
    ];
  }

  /** Takes all that is left, also what was freed since the last time. */
  fill(): void {
    for (const size of CHUNKS) {
      const chunk = Buffer.alloc(size);
      while (this.#append(chunk));
    }
  }

  #append(chunk: Buffer): boolean {
    try {
      appendFileSync(join(this.path, "ballast"), chunk);
      return true;
    } catch (failure) {
      if ((failure as NodeJS.ErrnoException).code === "ENOSPC") return false;
      throw failure;
    }
  }

  /** Frees what `fill` took. */
  empty(): void {
    rmSync(join(this.path, "ballast"), { force: true });
  }

  unmount(): void {
    this.#holder.kill("SIGKILL");
  }
}
