/**
 * Keeps a process running: starts it again whenever it ends by itself. The first start must
 * succeed; from then on only `stop` ends it.
 */
import { setTimeout as after } from "node:timers/promises";
import { describeFailure, type Logger } from "../src/logger.ts";

/** Milliseconds before a process that ended is started again: the first wait, doubled each time, and the longest. */
const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5_000;
/** After so many milliseconds a process counts as started well: the wait before its next start is the first one again. */
const WELL_MS = 60_000;

/** A process that can be kept running. */
export interface Runnable {
  /** Resolves with its exit code and signal when it has ended. */
  readonly ended: Promise<readonly unknown[]>;
  /** Ends it: what is under way gets `graceMs` to finish. */
  stop(graceMs: number): Promise<void>;
}

interface KeepRunningOptions<R extends Runnable> {
  /** Starts the process; `last` is the one before, to be started in its place. */
  readonly start: (last: R | undefined) => Promise<R>;
  readonly log: Logger;
  /** Resolves after so many milliseconds, or as soon as the signal is aborted. */
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly now?: () => number;
}

export interface Kept<R extends Runnable> {
  /** The process that runs, or ran last. */
  readonly current: R;
  /** Resolves when it has ended for good, after `stop`. */
  readonly ended: Promise<void>;
  stop(graceMs: number): Promise<void>;
}

/** Rejects if the first start fails. */
export async function keepRunning<R extends Runnable>(
  options: KeepRunningOptions<R>,
): Promise<Kept<R>> {
  const { start, log, wait = waitFor, now = Date.now } = options;
  const ending = new AbortController();
  let current = await start(undefined);
  const ended = run();
  return {
    get current() {
      return current;
    },
    ended,
    async stop(graceMs) {
      ending.abort();
      await current.stop(graceMs);
      await ended;
    },
  };

  async function run(): Promise<void> {
    let waitMs = FIRST_WAIT_MS;
    for (;;) {
      const began = now();
      const [code, signal] = await current.ended;
      if (ending.signal.aborted) return;
      if (now() - began >= WELL_MS) waitMs = FIRST_WAIT_MS;
      const how = typeof signal === "string" ? signal : `exit ${String(code)}`;
      log.error("workerd.ended", { how, againInMs: waitMs });
      for (let started = false; !started; waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS)) {
        await wait(waitMs, ending.signal);
        if (ending.signal.aborted) return;
        started = await startAgain(waitMs);
      }
    }
  }

  async function startAgain(waitMs: number): Promise<boolean> {
    try {
      current = await start(current);
    } catch (failure) {
      const againInMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
      log.error("workerd.failed", { cause: describeFailure(failure), againInMs });
      return false;
    }
    log.info("workerd.started");
    // `stop` was called while this one started, and ended the process before it.
    if (ending.signal.aborted) await current.stop(0);
    return true;
  }
}

/** Returns early if `signal` aborts. */
async function waitFor(ms: number, signal: AbortSignal): Promise<void> {
  await after(ms, undefined, { signal }).catch(() => undefined);
}
