/**
 * The library's entry `holdfast/durable-object`. It loads anywhere; the classes of the objects,
 * which only a Worker can run, are `holdfast/object`.
 */
import { DirectoryClient, type DirectoryNamespace } from "../directory/client.ts";
import { DurableObjectHost } from "../session/object-host.ts";
import type { SessionObject } from "../session/session-object.ts";
import type { ListedSessions } from "../library/storage/durable-object.ts";
import type { Caller } from "../core/caller.ts";
import type { Sessions } from "../core/host.ts";

export { DurableObjectStorage } from "../library/storage/durable-object.ts";
export type {
  DurableObjectStorageOptions,
  ListedSessions,
} from "../library/storage/durable-object.ts";
export type { Caller } from "../core/caller.ts";
export type { SessionHost, Sessions } from "../core/host.ts";

/** A binding to the namespace of a class of objects, typed without the platform. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
}

export interface SessionsInOptions {
  /** The service's `DIRECTORY_SHARDS` (8, as its own default). */
  readonly shards?: number;
  /** The caller. Absent: an admin, since the holder of the binding may touch every session. */
  readonly caller?: Caller;
}

/** The calls of the service's own front, without those of its gateway. */
export type LibrarySessions = Sessions & ListedSessions;

/**
 * The sessions of a namespace of `SessionObject`, as the service's own front uses them. Without
 * `directory`, a namespace of `DirectoryObject`, `list` and `count` throw `UnavailableError`.
 *
 * @example
 * const sessions = sessionsIn(env.SESSIONS, env.DIRECTORY);
 * await sessions.publish(id, [{ data: "hello" }]); // { ids: [event id], writers: 0 }
 * const { count } = await sessions.count({ type: "mcp" });
 */
export function sessionsIn(
  sessions: ObjectNamespace,
  directory?: ObjectNamespace,
  { shards = 8, caller = { admin: true } }: SessionsInOptions = {},
): LibrarySessions {
  // A Worker alone has such bindings, and its bindings have these types.
  const host = new DurableObjectHost(sessions as unknown as DurableObjectNamespace<SessionObject>, {
    directory: directory && new DirectoryClient(directory as unknown as DirectoryNamespace, shards),
  });
  const own = host.as(caller);
  return {
    create: (id, content) => own.create(id, content),
    read: (id, touch) => own.read(id, touch),
    upsert: (id, content, ifMatch) => own.upsert(id, content, ifMatch),
    patch: (id, patch, ifMatch) => own.patch(id, patch, ifMatch),
    delete: (id, ifMatch) => own.delete(id, ifMatch),
    publish: (id, events, idempotencyKey) => own.publish(id, events, idempotencyKey),
    endStream: (id, last) => own.endStream(id, last),
    readEvents: (id, query) => own.readEvents(id, query),
    awaitEvents: (id, after, ms) => own.awaitEvents(id, after, ms),
    disconnect: (id) => own.disconnect(id),
    subscribe: (id, start) => own.subscribe(id, start),
    list: (query) => host.list(query),
    count: (filter) => host.count(filter),
  };
}
