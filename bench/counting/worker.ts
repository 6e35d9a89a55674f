/**
 * The service with what it asks of its objects' storage counted, the sessions' and the
 * directory's. The Worker and its objects share one isolate on workerd, so one tally
 * serves them all. `GET /counts` answers and clears it.
 */
import { DurableObject } from "cloudflare:workers";
import service, {
  DirectoryObject as Directory,
  SessionObject as Session,
} from "../../src/worker.ts";
import { noCounts, type Kind } from "./counts.ts";

let tally = noCounts();
/** A cursor knows what it has read once its reader is done with it. */
let cursors: [Kind, SqlStorageCursor<Record<string, SqlStorageValue>>][] = [];

function counted(ctx: DurableObjectState, kind: Kind): DurableObjectState {
  const { storage } = ctx;
  const { kv, sql } = storage;
  /** Replaces a method by one that first counts itself. */
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

/** What reaches an object from without is a request to it; what it calls of its own is not. */
function counting(real: Class, kind: Kind): Class {
  class Counting extends DurableObject {
    readonly inner: Methods;
    constructor(ctx: DurableObjectState, env: never) {
      super(ctx, env);
      this.inner = new real(counted(ctx, kind), env) as unknown as Methods;
      tally[kind].wakes++;
    }
  }
  for (const name of Object.getOwnPropertyNames(real.prototype)) {
    if (name === "constructor") continue;
    const value = function (this: Counting, ...args: unknown[]) {
      tally[kind].requests++;
      return this.inner[name]?.(...args);
    };
    Object.defineProperty(Counting.prototype, name, { value });
  }
  return Counting;
}

export const SessionObject = counting(Session, "sessions");
export const DirectoryObject = counting(Directory, "directory");

export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/counts")
      return service.fetch(request, env as never, ctx);
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
