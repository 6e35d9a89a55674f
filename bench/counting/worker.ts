/**
 * The service, counting how much its objects ask of their storage. The Worker and its objects
 * share one isolate on workerd, so one tally serves all. `GET /counts` answers it and clears it.
 */
import { DurableObject } from "cloudflare:workers";
import { DirectoryObject as Directory } from "../../src/directory/directory-object.ts";
import { SessionObject as Session } from "../../src/session/session-object.ts";
import service, * as own from "../../src/worker.ts";
import { noCounts, type Kind } from "./counts.ts";

let tally = noCounts();
/** A cursor knows its counts only when its reader has finished with it. */
let cursors: [Kind, SqlStorageCursor<Record<string, SqlStorageValue>>][] = [];

function counted(ctx: DurableObjectState, kind: Kind): DurableObjectState {
  const { storage } = ctx;
  const { kv, sql } = storage;
  /** Replaces a method with one that counts each call. */
  const before = <T extends object, K extends keyof T>(of: T, name: K, count: () => void) => {
    const real = of[name] as Method;
    of[name] = ((...args: unknown[]) => {
      count();
      return real.apply(of, args);
    }) as T[K];
  };
  before(kv, "get", () => tally[kind].rowsRead++);
  before(kv, "put", () => tally[kind].rowsWritten++);
  before(storage, "setAlarm", () => tally[kind].alarmsSet++);
  const exec = sql.exec.bind(sql);
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    cursors.push([kind, cursor]);
    return cursor;
  }) as typeof sql.exec;
  return ctx;
}

type Method = (...args: unknown[]) => unknown;
type Methods = Record<string, Method>;
type Class = new (ctx: DurableObjectState, env: never) => DurableObject;

/** Counts each call from outside as a request. A call from the object to itself does not count. */
function counting(real: Class, base: Class, kind: Kind): Class {
  class Counting extends DurableObject {
    readonly inner: Methods;
    constructor(ctx: DurableObjectState, env: never) {
      super(ctx, env);
      this.inner = new real(counted(ctx, kind), env) as unknown as Methods;
      tally[kind].wakes++;
    }
  }
  for (const name of Object.getOwnPropertyNames(base.prototype)) {
    if (name === "constructor") continue;
    const value = function (this: Counting, ...args: unknown[]) {
      tally[kind].requests++;
      return this.inner[name]?.(...args);
    };
    Object.defineProperty(Counting.prototype, name, { value });
  }
  return Counting;
}

export const SessionObject = counting(own.SessionObject, Session, "sessions");
export const DirectoryObject = counting(own.DirectoryObject, Directory, "directory");

export default {
  fetch(request) {
    if (new URL(request.url).pathname !== "/counts") return service.fetch(request);
    for (const [kind, { rowsRead, rowsWritten }] of cursors) {
      tally[kind].rowsRead += rowsRead;
      tally[kind].rowsWritten += rowsWritten;
    }
    const answer = Response.json(tally);
    tally = noCounts();
    cursors = [];
    return answer;
  },
} satisfies ExportedHandler;
