/** The part of a Worker's wrangler configuration that plain workerd needs too. */
import { join } from "node:path";
import { unstable_readConfig } from "wrangler";
import { PROJECT } from "./bundle.ts";

export interface WorkerConfig {
  readonly vars: Readonly<Record<string, unknown>>;
  readonly compatibility_date?: string;
  readonly compatibility_flags: readonly string[];
  readonly durable_objects: {
    readonly bindings: readonly { readonly name: string; readonly class_name: string }[];
  };
}

/** Reads a wrangler.toml; the service's own unless another is given. */
export function readWorkerConfig(path = join(PROJECT, "wrangler.toml")): WorkerConfig {
  const { vars, compatibility_date, compatibility_flags, durable_objects } = unstable_readConfig(
    { config: path },
    { hideWarnings: true },
  );
  const all: WorkerConfig["durable_objects"]["bindings"] = durable_objects.bindings;
  const bindings = all.map(({ name, class_name }) => ({ name, class_name }));
  return {
    vars,
    ...(compatibility_date !== undefined && { compatibility_date }),
    compatibility_flags,
    durable_objects: { bindings },
  };
}
