/**
 * Whether the service can do its work, for load balancers that ask again and again. One request in
 * `READY_MS` does the checks, and the others get what it found.
 */
import { READY_MS, READY_TIMEOUT_MS } from "../core/limits.ts";
import { describeFailure, type Logger } from "../logger.ts";
import { sleep, within } from "../wire/timers.ts";

/** By name, which strangers may see. Each rejects if it fails. */
export type Checks = Readonly<Record<string, () => Promise<void>>>;

/** Milliseconds between two looks of a waiting request whether the checks have ended: one request cannot await another's work. */
const LOOK_MS = 10;

export class Readiness {
  readonly #checks: Checks;
  readonly #log: Logger;
  readonly #now: () => number;
  #failing: ReadonlySet<string> | undefined;
  /** When the last checks began, in milliseconds since the epoch, and whether they go on. */
  #begunAt = -Infinity;
  #isChecking = false;

  constructor(checks: Checks, log: Logger, now: () => number = Date.now) {
    this.#checks = checks;
    this.#log = log;
    this.#now = now;
  }

  /** The names of all checks. */
  get names(): readonly string[] {
    return Object.keys(this.#checks);
  }

  /** The names of the checks that fail. They are `READY_MS` and a check old at most. */
  async failing(): Promise<readonly string[]> {
    while (this.#isUnderWay() && !this.#failing) await sleep(LOOK_MS);
    const isFresh = this.#now() - this.#begunAt < READY_MS;
    if (!this.#failing || !(isFresh || this.#isUnderWay())) await this.#check();
    return [...(this.#failing ?? this.names)];
  }

  /** The platform may end the request that checks, and then its checks never end. */
  #isUnderWay(): boolean {
    return this.#isChecking && this.#now() - this.#begunAt < 2 * READY_TIMEOUT_MS;
  }

  async #check(): Promise<void> {
    this.#begunAt = this.#now();
    this.#isChecking = true;
    const failing = await Promise.all(
      Object.entries(this.#checks).map(async ([name, check]) => {
        try {
          await within(check(), READY_TIMEOUT_MS, () => {
            throw new Error(`no answer in ${READY_TIMEOUT_MS} ms`);
          });
          return [];
        } catch (failure) {
          return [[name, failure] as const];
        }
      }),
    );
    this.#report(new Map(failing.flat()));
    this.#isChecking = false;
  }

  /** Logs changes alone: load balancers ask a service that is not ready each second. */
  #report(failing: ReadonlyMap<string, unknown>): void {
    const before = this.#failing ?? new Set();
    for (const [check, failure] of failing) {
      if (!before.has(check)) {
        this.#log.error("service.not_ready", { check, cause: describeFailure(failure) });
      }
    }
    if (before.size > 0 && failing.size === 0) this.#log.info("service.ready");
    this.#failing = new Set(failing.keys());
  }
}
