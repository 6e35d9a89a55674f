/**
 * `npm run serve`: the production bundle on plain workerd. Reads HOST, PORT,
 * STATE_DIR and every variable of the service from the environment. Ends within
 * 5 s of SIGTERM or SIGINT, with streams open too.
 */
import { join } from "node:path";
import { isLoopbackName, parseHost } from "../src/auth/origin.ts";
import {
  loadAuthSettings,
  refuseForwardedTokens,
  type AuthSettings,
} from "../src/auth/settings.ts";
import { ConfigError, integer, text, type Environment } from "../src/config/env.ts";
import { loadConfig } from "../src/config/service.ts";
import { buildBundle, PROJECT } from "./bundle.ts";
import { holdStateDir } from "./state-lock.ts";
import { startWorkerd, variables } from "./workerd.ts";

/** Milliseconds that requests under way have to finish after SIGTERM or SIGINT: on a busy machine all else took 2.6 s of the 5. */
const GRACE_MS = 1000;

/** An address that others can reach is served only once it is decided who may come in. */
function refuseOpenHost(host: string, { method }: AuthSettings): void {
  if (method.kind !== "unset") return;
  if (isLoopbackName(parseHost(host)?.hostname ?? "")) return;
  const choices = "AUTH=token (npm run token makes one), AUTH=jwt, or AUTH=none to let anybody in";
  throw new ConfigError(`HOST=${host} is reachable by others, so AUTH must be set: ${choices}`);
}

async function main(): Promise<void> {
  const { upstreams } = loadConfig(process.env);
  const settings = loadAuthSettings(variables(process.env));
  refuseForwardedTokens(settings, upstreams);
  const own: Environment<"HOST" | "PORT" | "STATE_DIR"> = process.env;
  // As in a URL, or as an address.
  const host = (text(own, "HOST") ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  refuseOpenHost(host, settings);
  const port = integer(own, "PORT", 8788, 0, 65_535);
  const stateDir = text(own, "STATE_DIR") ?? join(PROJECT, ".holdfast", "state");
  holdStateDir(stateDir);
  const bundle = await buildBundle();
  const workerd = await startWorkerd({
    bundle: bundle.path,
    host,
    port,
    stateDir,
    env: process.env,
    onLine: (line) => console.log(line),
  });
  let ending = false;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      ending = true;
      void workerd.stop(GRACE_MS);
    });
  }
  console.log(`holdfast listening on ${workerd.url}`);
  await workerd.ended;
  if (!ending) throw new Error("workerd ended by itself");
}

try {
  await main();
} catch (failure) {
  console.error(`holdfast: ${failure instanceof Error ? failure.message : String(failure)}`);
  process.exitCode = 1;
}
