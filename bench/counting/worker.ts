/**
 * The service with its objects' storage counted. The Worker and its objects share
 * one isolate on workerd, so one tally serves them all. `GET /counts` answers
 * and clears it.
 */
import service, { SessionObject as Real } from "../../src/worker.ts";

export * from "../../src/worker.ts";

export interface Counts {
  /** Constructor runs: an object that was not in memory. */
  wakes: number;
  /** Calls, upgrades and socket messages that reached an object. */
  requests: number;
  rowsRead: number;
  rowsWritten: number;
  /** Each is billed as one row written. */
  alarmsSet: number;
}

const fresh = (): Counts => ({ wakes: 0, requests: 0, rowsRead: 0, rowsWritten: 0, alarmsSet: 0 });
let counts = fresh();
/** A cursor knows what it has read once its reader is done with it. */
let cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];

function counted(ctx: DurableObjectState): DurableObjectState {
  const { storage } = ctx;
  const { kv, sql } = storage;
  const [get, put, exec, setAlarm] = [
    kv.get.bind(kv),
    kv.put.bind(kv),
    sql.exec.bind(sql),
    storage.setAlarm.bind(storage),
  ];
  kv.get = <T>(key: string) => {
    counts.rowsRead++;
    return get<T>(key);
  };
  kv.put = (key, value) => {
    counts.rowsWritten++;
    put(key, value);
  };
  sql.exec = ((query: string, ...bindings: unknown[]) => {
    const cursor = exec(query, ...bindings);
    cursors.push(cursor);
    return cursor;
  }) as typeof sql.exec;
  storage.setAlarm = (time, options) => {
    counts.alarmsSet++;
    return setAlarm(time, options);
  };
  return ctx;
}

export class SessionObject extends Real {
  constructor(ctx: DurableObjectState, env: ConstructorParameters<typeof Real>[1]) {
    super(counted(ctx), env);
    counts.wakes++;
  }
  override fetch(request: Request) {
    counts.requests++;
    return super.fetch(request);
  }
  override webSocketMessage(socket: WebSocket, message: string | ArrayBuffer) {
    counts.requests++;
    return super.webSocketMessage(socket, message);
  }
  override webSocketClose(socket: WebSocket, code: number) {
    counts.requests++;
    return super.webSocketClose(socket, code);
  }
}

// Each call of an object's own method over RPC is one request to it.
for (const name of [
  "create",
  "read",
  "upsert",
  "patch",
  "remove",
  "publish",
  "disconnect",
  "initialize",
  "exchange",
] as const) {
  const method = Real.prototype[name] as (...args: unknown[]) => unknown;
  Object.defineProperty(SessionObject.prototype, name, {
    value(this: Real, ...args: unknown[]) {
      counts.requests++;
      return method.apply(this, args);
    },
  });
}

export default {
  fetch(request, env, ctx) {
    if (new URL(request.url).pathname !== "/counts")
      return service.fetch(request, env as never, ctx);
    for (const cursor of cursors) {
      counts.rowsRead += cursor.rowsRead;
      counts.rowsWritten += cursor.rowsWritten;
    }
    const answer = Response.json(counts);
    counts = fresh();
    cursors = [];
    return answer;
  },
} satisfies ExportedHandler;
