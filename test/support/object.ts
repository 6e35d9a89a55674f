/** Looks into a session's object, for state that no client can see. */
import { env } from "cloudflare:workers";
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import type { SessionObject } from "../../src/session/session-object.ts";

const { SESSIONS } = env as unknown as { SESSIONS: DurableObjectNamespace<SessionObject> };

export function objectOf(id: string): DurableObjectStub<SessionObject> {
  return SESSIONS.get(SESSIONS.idFromName(id));
}

/** The writes that were asked of the object's storage, through the storage API. */
export interface Writes {
  /** Rows written: each put or delete of a key, and what SQL statements report. */
  rows: number;
  alarms: number;
  rowsDeleted: number;
  /** Rows that SQL statements read. */
  rowsRead: number;
  readonly keysRead: string[];
  readonly keysWritten: string[];
}

/** Resolves when the directory knows of the session's last change, or the try to tell it has failed. */
export function told(id: string): Promise<void> {
  return objectOf(id).untilListed();
}

/** Takes the object out of memory, once it has nothing under way: nothing else can be evicted. */
export async function evict(id: string): Promise<void> {
  await told(id);
  await evictDurableObject(objectOf(id));
}

/** The object dies in the middle of what it does, as in a crash: its memory is gone, its storage is not. */
export async function kill(id: string): Promise<void> {
  await runInDurableObject(objectOf(id), (_object, ctx) => ctx.abort("killed by the test")).catch(
    () => undefined,
  );
}

/** Counts the writes of an object from now on, as long as it stays in memory. */
export async function countWrites(id: string): Promise<Writes> {
  // Messages to the directory in the background belong to the calls before.
  await told(id);
  const writes: Writes = {
    rows: 0,
    alarms: 0,
    rowsDeleted: 0,
    rowsRead: 0,
    keysRead: [],
    keysWritten: [],
  };
  await runInDurableObject(objectOf(id), (_object, { storage }) => {
    const { kv, sql } = storage;
    const put = kv.put.bind(kv);
    kv.put = (key, value) => {
      writes.rows++;
      writes.keysWritten.push(key);
      put(key, value);
    };
    const get = kv.get.bind(kv);
    kv.get = (<T>(key: string) => {
      writes.keysRead.push(key);
      return get<T>(key);
    }) as typeof kv.get;
    const exec = sql.exec.bind(sql);
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      const cursor = exec(query, ...bindings);
      // A cursor knows its counts once it has been read to its end, which writes have been at once.
      if (/^\s*(INSERT|UPDATE|DELETE|CREATE)/.test(query)) {
        if (query.startsWith("DELETE")) writes.rowsDeleted += cursor.rowsWritten;
        else writes.rows += cursor.rowsWritten;
      }
      writes.rowsRead += cursor.rowsRead;
      return cursor;
    }) as typeof sql.exec;
    const setAlarm = storage.setAlarm.bind(storage);
    storage.setAlarm = (time, options) => {
      writes.alarms++;
      return setAlarm(time, options);
    };
  });
  return writes;
}

/** Records the reads that an object makes from now on: keys, and SQL statements. */
export async function listReads(id: string): Promise<string[]> {
  const reads: string[] = [];
  await runInDurableObject(objectOf(id), (_object, { storage: { kv, sql } }) => {
    const [get, exec] = [kv.get.bind(kv), sql.exec.bind(sql)];
    kv.get = (key: string) => {
      reads.push(key);
      return get(key);
    };
    sql.exec = ((query: string, ...bindings: unknown[]) => {
      reads.push(query);
      return exec(query, ...bindings);
    }) as typeof sql.exec;
  });
  return reads;
}

/** Everything that an object stores: keys, tables, and its alarm, once the directory has been told. */
export async function storedBy(
  id: string,
): Promise<{ keys: string[]; tables: string[]; alarm: number | null }> {
  await told(id);
  return runInDurableObject(objectOf(id), async (_object, { storage }) => ({
    keys: [...storage.kv.list()].map(([key]) => key),
    tables: storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray()
      .map(({ name }) => name)
      // The platform's own, made by the first write and kept when all is deleted.
      .filter((name) => !name.startsWith("_cf_")),
    alarm: await storage.getAlarm(),
  }));
}

/** How many writers' sockets the object holds. */
export function socketsOf(id: string): Promise<number> {
  return runInDurableObject(objectOf(id), (_object, ctx) => ctx.getWebSockets().length);
}

/** The last event that each of the object's readers has taken, as the attachment of its socket says. */
export function takenBy(id: string): Promise<string[]> {
  return runInDurableObject(objectOf(id), (_object, ctx) =>
    ctx.getWebSockets().flatMap((socket) => {
      const { taken } = socket.deserializeAttachment() as { taken?: string };
      return taken ?? [];
    }),
  );
}
