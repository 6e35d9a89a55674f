/**
 * The library's entry `holdfast/durable-object`. It can be imported anywhere; the
 * objects' classes themselves, which only a Worker can run, are `holdfast/object`.
 */
import { DirectoryClient } from "./directory/client.ts";
import type { DirectoryNamespace } from "./directory/client.ts";
import { DurableObjectHost } from "./object/durable-object-host.ts";
import type { SessionObject } from "./object/session-object.ts";
import type { SessionHost } from "./session/host.ts";

export { DurableObjectStorage } from "./storage/durable-object.ts";
export type { DurableObjectStorageOptions } from "./storage/durable-object.ts";
export type { SessionHost } from "./session/host.ts";

/** A binding to the namespace of a class of objects, in words that need no platform's types. */
export interface ObjectNamespace {
  idFromName(name: string): unknown;
}

/** `DIRECTORY_SHARDS`, unless said otherwise there and here. */
const DEFAULT_SHARDS = 8;

/**
 * The sessions of a namespace of `SessionObject`, as the service's own front uses
 * them. Without `directory`, a namespace of `DirectoryObject`, they cannot be
 * counted or listed. `shards` must be the service's `DIRECTORY_SHARDS`.
 */
export function sessionsIn(
  sessions: ObjectNamespace,
  directory?: ObjectNamespace,
  shards: number = DEFAULT_SHARDS,
): SessionHost {
  // Only a Worker has such bindings, and there they are these.
  return new DurableObjectHost(sessions as unknown as DurableObjectNamespace<SessionObject>, {
    directory: directory && new DirectoryClient(directory as unknown as DirectoryNamespace, shards),
  });
}
