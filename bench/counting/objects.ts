/**
 * Counts how much Durable Objects ask of the platform, whoever wrote their class. A Worker and its
 * objects share one isolate on workerd, so one tally serves all.
 */
import { DurableObject } from "cloudflare:workers";
import { AWAKE_MS, noCounts, type Kind } from "./counts.ts";

let tally = noCounts();
/** A cursor knows its counts only when its reader has finished with it. */
let cursors: [Kind, SqlStorageCursor<Record<string, SqlStorageValue>>][] = [];

/** The counts since the last call. */
export function takeCounts(): Response {
  for (const [kind, { rowsRead, rowsWritten }] of cursors) {
    tally[kind].rowsRead += rowsRead;
    tally[kind].rowsWritten += rowsWritten;
  }
  const answer = Response.json(tally);
  tally = noCounts();
  cursors = [];
  return answer;
}

type Method = (...args: unknown[]) => unknown;
type Class = new (ctx: DurableObjectState, env: never) => DurableObject;

/** Replaces a method with one that counts each call. */
function before<T extends object, K extends keyof T>(of: T, name: K, count: () => void): void {
  const real = of[name] as Method;
  of[name] = ((...args: unknown[]) => {
    count();
    return real.apply(of, args);
  }) as T[K];
}

function counted(ctx: DurableObjectState, kind: Kind): DurableObjectState {
  const { storage } = ctx;
  const { kv, sql } = storage;
  for (const of of [storage, kv] as (typeof kv)[]) {
    before(of, "get", () => tally[kind].rowsRead++);
    before(of, "put", () => tally[kind].rowsWritten++);
  }
  before(storage, "setAlarm", () => tally[kind].alarmsSet++);
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    cursors.push([kind, cursor]);
    return cursor;
  }) as typeof sql.exec;
  return ctx;
}

/** Counts each call from outside as a request. A call from the object to itself does not count. */
export function counting(real: Class, kind: Kind): Class {
  class Counting extends DurableObject {
    readonly inner: Record<string, Method>;
    /** The tally to which time in memory was added, and until when. */
    #added = { to: tally, until: 0 };

    constructor(ctx: DurableObjectState, env: never) {
      super(ctx, env);
      this.inner = new real(counted(ctx, kind), env) as unknown as Record<string, Method>;
      tally[kind].wakes++;
    }

    async countCall(name: string, args: unknown[]): Promise<unknown> {
      tally[kind].requests++;
      this.addStay();
      try {
        return await this.inner[name]?.(...args);
      } finally {
        this.addStay();
      }
    }

    /** Adds the time from what was added to the end of the wait that begins now. */
    addStay(): void {
      if (this.#added.to !== tally) this.#added = { to: tally, until: 0 };
      const now = Date.now();
      const until = now + AWAKE_MS;
      tally[kind].secondsInMemory += (until - Math.max(now, this.#added.until)) / 1000;
      this.#added.until = until;
    }
  }
  for (let at: object = real.prototype as object; at !== DurableObject.prototype;) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(at))) {
      if (Object.hasOwn(Counting.prototype, name) || typeof value !== "function") continue;
      Object.defineProperty(Counting.prototype, name, {
        value(this: Counting, ...args: unknown[]) {
          return this.countCall(name, args);
        },
      });
    }
    at = Object.getPrototypeOf(at) as object;
  }
  return Counting;
}
