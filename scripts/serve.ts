/**
 * `holdfast serve`: the production bundle on plain workerd. Reads HOST, PORT, STATE_DIR and every
 * variable of the service from the environment. Writes nothing but STATE_DIR. Starts workerd again when
 * that ends by itself. Ends within 5 s of SIGTERM or SIGINT, with streams open too.
 */
import { resolve } from "node:path";
import { isLoopbackName, parseHost } from "../src/auth/origin.ts";
import {
  AUTH_VARIABLES,
  loadAuthSettings,
  refuseForwardedTokens,
  type AuthSettings,
} from "../src/auth/settings.ts";
import { ConfigError, integer, text, type Environment } from "../src/config/env.ts";
import { refuseMisspelt } from "../src/config/names.ts";
import { CONFIG_VARIABLES, loadConfig } from "../src/config/service.ts";
import { namesInUpstreams, type UpstreamsSettings } from "../src/config/upstreams.ts";
import { openUpstreams, ownServers } from "../src/gateway/upstream/open.ts";
import { NO_SERVERS } from "../src/gateway/upstream/upstream.ts";
import { createLogger, describeFailure, type Logger, type LogLevel } from "../src/logger.ts";
import { mendAlarms } from "./alarms.ts";
import type { Artifact } from "./artifact.ts";
import { requireFreePort } from "./free-port.ts";
import { keepRunning } from "./keep-running.ts";
import { fillInOldNode } from "./old-node.ts";
import { openFilesAdvice, openFilesLimit } from "./open-files.ts";
import { closeToOthers, makePrivateFiles, requireOwnFiles } from "./private-files.ts";
import { keepReserve } from "./reserve.ts";
import { hasSqlite } from "./sqlite.ts";
import { holdStateDir } from "./state-lock.ts";
import { sweepAtRest, sweepRunning } from "./sweep.ts";
import { workerdProgram } from "./workerd-program.ts";
import { startWorkerd, variables, type Workerd } from "./workerd.ts";

/** Variables that this file reads itself. */
export const SERVE_VARIABLES = ["HOST", "PORT", "STATE_DIR"] as const;

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

/** Throws if an upstream is a binding, which only a Worker on Cloudflare has. */
function refuseBindings(upstreams: UpstreamsSettings): void {
  for (const [name, one] of Object.entries(upstreams)) {
    const binding = one !== "demo" && "binding" in one ? one.binding : undefined;
    if (binding === undefined) continue;
    throw new ConfigError(
      `UPSTREAMS ${name}: there is no service binding ${binding}: holdfast serve has none, so give the server's url`,
    );
  }
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

interface Settings {
  readonly host: string;
  readonly port: number;
  readonly stateDir: string;
  readonly logLevel: LogLevel;
  /** Sentences for the operator, who has set something that has no effect here. */
  readonly remarks: readonly string[];
}

/** Reads all that the environment says, the parts that the Worker reads too. Throws a ConfigError of one line. */
function readSettings(env: NodeJS.ProcessEnv, { config }: Artifact): Settings {
  refuseMisspelt(
    env,
    [...CONFIG_VARIABLES, ...AUTH_VARIABLES, ...SERVE_VARIABLES],
    namesInUpstreams(env),
  );
  const service = loadConfig(env);
  const settings = loadAuthSettings(variables(env, config));
  refuseForwardedTokens(settings, service.upstreams);
  refuseBindings(service.upstreams);
  ownServers(service, NO_SERVERS);
  openUpstreams(service, env);
  const own: Environment<(typeof SERVE_VARIABLES)[number]> = env;
  // As in a URL, or as an address.
  const host = (text(own, "HOST") ?? "127.0.0.1").replace(/^\[(.*)\]$/, "$1");
  refuseOpenHost(host, settings);
  const { jurisdiction, locationHint } = service.location;
  if (jurisdiction !== undefined) {
    throw new ConfigError(
      `JURISDICTION=${jurisdiction} cannot be kept here: only Cloudflare has jurisdictions, and serve stores all in STATE_DIR`,
    );
  }
  return {
    host,
    port: integer(own, "PORT", 8788, 0, 65_535),
    stateDir: resolve(text(own, "STATE_DIR") ?? ".holdfast/state"),
    logLevel: service.logLevel,
    remarks: locationHint === undefined ? [] : ["LOCATION_HINT has no effect: this is one machine"],
  };
}

/** Serves until SIGTERM or SIGINT. Rejects with an error of one line where it cannot start. */
export async function serve(env: NodeJS.ProcessEnv, artifact: Artifact): Promise<void> {
  fillInOldNode();
  const { host, port, stateDir, logLevel, remarks } = readSettings(env, artifact);
  workerdProgram();
  const limit = openFilesLimit();
  const advice = limit === undefined ? [] : [openFilesAdvice(limit)];
  makePrivateFiles();
  await holdStateDir(stateDir);
  closeToOthers(stateDir);
  requireOwnFiles(stateDir);
  if (port !== 0) await requireFreePort(host, port);
  const log = createLogger(logLevel);
  if (!hasSqlite) log.warn("node.without_sqlite", { node: process.versions.node });
  const files = await sweepAtRest(stateDir, SWEEP_AT_REST_MS);
  if (files > 0) log.info("storage.swept", { files });
  keepReserve(stateDir, { log });
  const workerd = await keepRunning({
    start: (last: Workerd | undefined) => {
      if (last) requireOwnFiles(stateDir);
      if (hasSqlite) mendAlarms(stateDir, { openFilesLimit: limit, log, now: Date.now() });
      return startWorkerd({
        ...artifact,
        host,
        port: last?.port ?? port,
        stateDir,
        env,
        onLine: (line) => console.log(line),
      });
    },
    log,
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => void workerd.stop(GRACE_MS));
  }
  sweepNowAndThen(stateDir, () => workerd.current, log);
  for (const line of [...advice, ...remarks]) console.log(`holdfast: ${line}`);
  console.log(`holdfast listening on ${workerd.current.url}`);
  await workerd.ended;
}
