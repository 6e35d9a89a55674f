/** The bindings of the Worker that the service is a part of, with a line for each that is missing. */
import type { RateLimitBinding } from "../auth/rate-limit.ts";
import { ConfigError, type Environment } from "../config/env.ts";
import type { SessionObject } from "../session/session-object.ts";

export interface Bindings extends Environment {
  readonly SESSIONS: DurableObjectNamespace<SessionObject>;
  /** Absent where there is no directory. */
  readonly DIRECTORY?: Pick<DurableObjectNamespace, "idFromName">;
  readonly SUBJECT_LIMIT?: RateLimitBinding;
  readonly ADDRESS_LIMIT?: RateLimitBinding;
  /** A dataset of Analytics Engine, for the counts. */
  readonly METRICS?: unknown;
}

/** The classes by the names that their bindings must have. */
const CLASSES = { SESSIONS: "SessionObject", DIRECTORY: "DirectoryObject" };

/** Throws a ConfigError that says what to add to wrangler.toml if a namespace of objects is not bound. */
export function bindingsOf(env: Environment, keepsDirectory: boolean): Bindings {
  requireNamespace(env, "SESSIONS", "");
  if (keepsDirectory) requireNamespace(env, "DIRECTORY", ", or set directoryShards to 0");
  refuseOtherLimit(env, "SUBJECT_LIMIT");
  refuseOtherLimit(env, "ADDRESS_LIMIT");
  // `requireNamespace` has checked that they are namespaces; their objects' types cannot be checked.
  return env as Bindings;
}

function requireNamespace(env: Environment, name: keyof typeof CLASSES, instead: string): void {
  const binding = env[name] as { idFromName?: unknown } | undefined;
  if (typeof binding?.idFromName === "function") return;
  const found = binding === undefined ? "is not bound" : "is bound to something else";
  throw new ConfigError(
    `${name} ${found}: add [[durable_objects.bindings]] with name = "${name}" and class_name = "${CLASSES[name]}" to wrangler.toml${instead}`,
  );
}

/** The limits may be left out. A binding under one of their names must be a limit, or it would limit nobody. */
function refuseOtherLimit(env: Environment, name: "SUBJECT_LIMIT" | "ADDRESS_LIMIT"): void {
  const binding = env[name] as { limit?: unknown } | null | undefined;
  if (binding === undefined || typeof binding?.limit === "function") return;
  throw new ConfigError(
    `${name} is bound to something else: it must be one of [[ratelimits]] in wrangler.toml, or absent`,
  );
}

/**
 * Throws an Error that says what to add to wrangler.toml if a class has no SQLite storage: without a
 * migration that names it, `wrangler dev` gives it another kind.
 */
export function requireSqlite({ storage }: DurableObjectState, className: string): void {
  try {
    // Without SQLite the platform throws at the first use. This one reads no row.
    void storage.sql.databaseSize;
  } catch (cause) {
    throw new Error(
      `${className} has no SQLite storage: add [[migrations]] with a new tag and new_sqlite_classes = ["SessionObject", "DirectoryObject"] to wrangler.toml`,
      { cause },
    );
  }
}
