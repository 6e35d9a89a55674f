/**
 * The library's entry `holdfast/durable-object`. It can be imported anywhere; the
 * object's class itself, which only a Worker can run, is `holdfast/object`.
 */
import { DurableObjectHost } from "./object/durable-object-host.ts";
import type { SessionObject } from "./object/session-object.ts";
import type { SessionHost } from "./session/host.ts";

export { DurableObjectStorage } from "./storage/durable-object.ts";
export type { DurableObjectStorageOptions, SessionDirectory } from "./storage/durable-object.ts";
export type { SessionHost } from "./session/host.ts";

/** A binding to the namespace of `SessionObject`, in words that need no platform's types. */
export interface SessionNamespace {
  idFromName(name: string): unknown;
}

/** The sessions of a namespace, as the service's own front uses them. */
export function sessionsIn(namespace: SessionNamespace): SessionHost {
  // Only a Worker has such a binding, and there it is this.
  return new DurableObjectHost(namespace as unknown as DurableObjectNamespace<SessionObject>);
}
