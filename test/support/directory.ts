/** Reaches into the directory, and makes services with other settings over the same objects. */
import { env } from "cloudflare:workers";
import { runInDurableObject } from "cloudflare:test";
import { createApp } from "../../src/app.ts";
import { loadConfig } from "../../src/config/service.ts";
import { DirectoryClient } from "../../src/directory/client.ts";
import type { DirectoryEntry, DirectoryFilter } from "../../src/directory/contract.ts";
import type { DirectoryObject } from "../../src/directory/directory-object.ts";
import { shardName } from "../../src/directory/placement.ts";
import { DurableObjectHost } from "../../src/session/object-host.ts";
import type { SessionObject } from "../../src/session/session-object.ts";
import { call } from "./call.ts";
import { told } from "./object.ts";
import type { SessionList } from "../../src/core/api.ts";

const bindings = env as unknown as {
  SESSIONS: DurableObjectNamespace<SessionObject>;
  DIRECTORY: DurableObjectNamespace<DirectoryObject>;
};

/** The number of shards of the service in wrangler.toml, which is the default. */
export const SHARDS = 8;

export function shard(n: number): DurableObjectStub<DirectoryObject> {
  return bindings.DIRECTORY.get(bindings.DIRECTORY.idFromName(shardName(n)));
}

export function eachShard<T>(visit: (stub: DurableObjectStub<DirectoryObject>) => Promise<T>) {
  return Promise.all(Array.from({ length: SHARDS }, (_, n) => visit(shard(n))));
}

export function directory(shards = SHARDS): DirectoryClient {
  return new DirectoryClient(bindings.DIRECTORY, shards);
}

/** The service with another configuration, over the same objects. */
function appWith(vars: Record<string, string>) {
  const config = loadConfig(vars);
  const host = new DurableObjectHost(bindings.SESSIONS, {
    directory: directory(config.directoryShards),
    maxSessionsPerSubject: config.maxSessionsPerSubject,
  });
  const app = createApp(host, config);
  return async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Response> =>
    app.request(path, {
      method,
      headers: { ...(body !== undefined && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
}

export function appWithLimit(limit: number) {
  return appWith({ MAX_SESSIONS_PER_SUBJECT: String(limit) });
}

/** Every entry that fits, page by page. */
export async function walked(
  filter: DirectoryFilter = {},
  shards = SHARDS,
): Promise<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  for await (const entry of directory(shards).walk(filter, 50)) entries.push(entry);
  return entries;
}

export async function listed(query: string): Promise<SessionList> {
  return (await call<SessionList>("GET", `/v1/sessions?${query}`)).json;
}

export async function counted(query = ""): Promise<number> {
  return (await call<{ count: number }>("GET", `/v1/sessions/count?${query}`)).json.count;
}

/** Waits until the directory knows of the last change of each of these sessions. */
export async function allTold(ids: readonly string[]): Promise<void> {
  await Promise.all(ids.map(told));
}

/** Rows that a shard's storage was asked to read and write, and alarms that it set, while `act` ran. */
export async function rowsUsed(
  stub: DurableObjectStub<DirectoryObject>,
  act: () => Promise<unknown>,
): Promise<{ read: number; written: number; alarms: number }> {
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  let alarms = 0;
  const finish = await runInDurableObject(stub, (_object, { storage }) => {
    const { sql } = storage;
    const { exec } = sql;
    const setAlarm = storage.setAlarm.bind(storage);
    storage.setAlarm = (...given) => {
      alarms++;
      return setAlarm(...given);
    };
    sql.exec = ((query: string, ...values: unknown[]) => {
      const cursor = exec.call(sql, query, ...values);
      cursors.push(cursor);
      return cursor;
    }) as typeof sql.exec;
    // Read where the cursors belong, and once they have been read to where they were needed.
    return () => {
      sql.exec = exec;
      storage.setAlarm = setAlarm;
      return cursors.map(({ rowsRead, rowsWritten }) => ({ rowsRead, rowsWritten }));
    };
  });
  await act();
  const rows = await runInDurableObject(stub, () => finish());
  return {
    read: rows.reduce((sum, { rowsRead }) => sum + rowsRead, 0),
    written: rows.reduce((sum, { rowsWritten }) => sum + rowsWritten, 0),
    alarms,
  };
}
