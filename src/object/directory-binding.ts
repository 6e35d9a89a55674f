/** The directory, where this deployment keeps one. */
import type { Config, Environment } from "../config.ts";
import { DirectoryClient, type DirectoryNamespace } from "../directory/client.ts";

/** Undefined where the class is bound under no name `DIRECTORY`, or `DIRECTORY_SHARDS` is 0. */
export function directoryOf(env: Environment, config: Config): DirectoryClient | undefined {
  // wrangler.toml binds it; a Worker that uses SessionObject alone may not.
  const namespace = env["DIRECTORY"] as DirectoryNamespace | undefined;
  if (!namespace || config.directoryShards === 0) return undefined;
  return new DirectoryClient(namespace, config.directoryShards);
}
