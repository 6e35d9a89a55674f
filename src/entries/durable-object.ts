/**
 * The library's entry `holdfast/durable-object`. It can be imported anywhere; the
 * objects' classes themselves, which only a Worker can run, are `holdfast/object`.
 */
import type { GatewaySessions } from "../gateway/contract.ts";
import { DirectoryClient, type DirectoryNamespace } from "../directory/client.ts";
import { DurableObjectHost } from "../session/object-host.ts";
import type { SessionObject } from "../session/session-object.ts";
import type { ListedSessions } from "../library/storage/durable-object.ts";
import type { Caller } from "../core/caller.ts";

export { DurableObjectStorage } from "../library/storage/durable-object.ts";
export type {
  DurableObjectStorageOptions,
  ListedSessions,
} from "../library/storage/durable-object.ts";
export type { Caller } from "../core/caller.ts";
export type { SessionHost, Sessions } from "../core/host.ts";

/** A binding to the namespace of a class of objects, in words that need no platform's types. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
}

/** `DIRECTORY_SHARDS`, unless said otherwise there and here. */
const DEFAULT_SHARDS = 8;

export interface SessionsInOptions {
  /** The service's `DIRECTORY_SHARDS`; 8 unless said otherwise there and here. */
  readonly shards?: number;
  /** Who asks. Who holds the binding may touch every session, unless a caller is given that may not. */
  readonly caller?: Caller;
}

/** What the service's own front does with sessions, but for the gateway. */
export type LibrarySessions = Omit<
  GatewaySessions,
  "document" | "initialize" | "exchange" | "follow"
> &
  ListedSessions;

/**
 * The sessions of a namespace of `SessionObject`, as the service's own front uses
 * them. Without `directory`, a namespace of `DirectoryObject`, they cannot be
 * counted or listed.
 */
export function sessionsIn(
  sessions: ObjectNamespace,
  directory?: ObjectNamespace,
  { shards = DEFAULT_SHARDS, caller = { admin: true } }: SessionsInOptions = {},
): LibrarySessions {
  // Only a Worker has such bindings, and there they are these.
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
    publish: (id, events) => own.publish(id, events),
    disconnect: (id) => own.disconnect(id),
    subscribe: (id, start) => own.subscribe(id, start),
    list: (query) => host.list(query),
    count: (filter) => host.count(filter),
  };
}
