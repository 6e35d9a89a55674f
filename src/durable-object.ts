/**
 * The library's entry `holdfast/durable-object`. It can be imported anywhere; the
 * object's class itself, which only a Worker can run, is `holdfast/object`.
 */
import { DurableObjectHost } from "./object/durable-object-host.ts";
import type { SessionObject } from "./object/session-object.ts";
import type { Caller } from "./session/caller.ts";
import type { Sessions } from "./session/host.ts";

export { DurableObjectStorage } from "./storage/durable-object.ts";
export type { DurableObjectStorageOptions, SessionDirectory } from "./storage/durable-object.ts";
export type { Caller } from "./session/caller.ts";
export type { Sessions } from "./session/host.ts";

/** A binding to the namespace of `SessionObject`, in words that need no platform's types. */
export interface SessionNamespace {
  idFromName(name: string): unknown;
}

/**
 * The sessions of a namespace, as the service's own front uses them. Who holds the
 * binding may touch every session, unless a caller is given that may not.
 */
export function sessionsIn(
  namespace: SessionNamespace,
  caller: Caller = { admin: true },
): Sessions {
  // Only a Worker has such a binding, and there it is this.
  const objects = namespace as unknown as DurableObjectNamespace<SessionObject>;
  return new DurableObjectHost(objects).as(caller);
}
