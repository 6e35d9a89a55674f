/**
 * `npm run serve`: the production bundle on plain workerd. Reads HOST, PORT,
 * STATE_DIR and every variable of the service from the environment. Starts workerd again when
 * that ends by itself. Ends within 5 s of SIGTERM or SIGINT, with streams open too.
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
import { createLogger, describeFailure, type Logger } from "../src/logger.ts";
import { mendAlarms } from "./alarms.ts";
import { buildBundle, PROJECT } from "./bundle.ts";
import { keepRunning } from "./keep-running.ts";
import { openFilesAdvice, openFilesLimit } from "./open-files.ts";
import { closeToOthers, makePrivateFiles } from "./private-files.ts";
import { keepReserve } from "./reserve.ts";
import { holdStateDir } from "./state-lock.ts";
import { sweepAtRest, sweepRunning } from "./sweep.ts";
import { startWorkerd, variables, type Workerd } from "./workerd.ts";

/** Milliseconds that requests under way have to finish after SIGTERM or SIGINT: on a busy machine all else took 2.6 s of the 5. */
const GRACE_MS = 1000;
/** Milliseconds between two sweeps of the files that ended sessions left. */
const SWEEP_MS = 10 * 60_000;
/** Milliseconds before the first of them, which removes the files that the sweep at the start left. */
const FIRST_SWEEP_MS = 60_000;
/** Milliseconds that the sweep at the start may take: a thousand files take a second or two. */
const SWEEP_AT_REST_MS = 2_000;

/** Throws if others can reach the address while `AUTH` is unset. */
function refuseOpenHost(host: string, { method }: AuthSettings): void {
  if (method.kind !== "unset") return;
  if (isLoopbackName(parseHost(host)?.hostname ?? "")) return;
  const choices = "AUTH=token (npm run token makes one), AUTH=jwt, or AUTH=none to let anybody in";
  throw new ConfigError(`HOST=${host} is reachable by others, so AUTH must be set: ${choices}`);
}

/** Removes the files of ended sessions from time to time. */
function sweepNowAndThen(stateDir: string, workerd: () => Workerd, log: Logger): void {
  const sweep = async (): Promise<void> => {
    try {
      const { pid } = workerd().process;
      const files = pid === undefined ? 0 : await sweepRunning(stateDir, pid);
      if (files > 0) log.info("storage.swept", { files });
    } catch (failure) {
      // workerd may have ended meanwhile; the next sweep finds what this one left.
      log.warn("storage.not_swept", { cause: describeFailure(failure) });
    }
    setTimeout(() => void sweep(), SWEEP_MS).unref();
  };
  setTimeout(() => void sweep(), FIRST_SWEEP_MS).unref();
}

async function main(): Promise<void> {
  const { upstreams, logLevel } = loadConfig(process.env);
  const settings = loadAuthSettings(variables(process.env));
  refuseForwardedTokens(settings, upstreams);
  const own: Environment<"HOST" | "PORT" | "STATE_DIR"> = process.env;
  // As in a URL, or as an address.
  const host = (text(own, "HOST") ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  refuseOpenHost(host, settings);
  const port = integer(own, "PORT", 8788, 0, 65_535);
  const limit = openFilesLimit();
  const advice = limit === undefined ? undefined : openFilesAdvice(limit);
  const stateDir = text(own, "STATE_DIR") ?? join(PROJECT, ".holdfast", "state");
  makePrivateFiles();
  holdStateDir(stateDir);
  closeToOthers(stateDir);
  const bundle = await buildBundle();
  const log = createLogger(logLevel);
  const files = await sweepAtRest(stateDir, SWEEP_AT_REST_MS);
  if (files > 0) log.info("storage.swept", { files });
  keepReserve(stateDir, { log });
  const workerd = await keepRunning({
    start: (last: Workerd | undefined) => {
      mendAlarms(stateDir, { openFilesLimit: limit, log, now: Date.now() });
      return startWorkerd({
        bundle: bundle.path,
        host,
        port: last?.port ?? port,
        stateDir,
        env: process.env,
        onLine: (line) => console.log(line),
      });
    },
    log,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void workerd.stop(GRACE_MS));
  }
  sweepNowAndThen(stateDir, () => workerd.current, log);
  if (advice !== undefined) console.log(`holdfast: ${advice}`);
  console.log(`holdfast listening on ${workerd.current.url}`);
  await workerd.ended;
}

try {
  await main();
} catch (failure) {
  console.error(`holdfast: ${failure instanceof Error ? failure.message : String(failure)}`);
  process.exitCode = 1;
}
