/**
 * `npm start`: `wrangler dev` with the same variables from the environment as `holdfast serve` takes.
 * An argument wins over a variable, and a variable over a file.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:os";
import { join } from "node:path";
import { unstable_getVarsForDev, unstable_readConfig } from "wrangler";
import { AUTH_VARIABLES, loadAuthSettings, refuseForwardedTokens } from "../src/auth/settings.ts";
import { ConfigError, text, type Environment } from "../src/config/env.ts";
import { refuseMisspelt } from "../src/config/names.ts";
import { CONFIG_VARIABLES, loadConfig } from "../src/config/service.ts";
import { namesInUpstreams, parseUpstreams, secretNames } from "../src/config/upstreams.ts";
import { openUpstreams, ownServers } from "../src/gateway/upstream/open.ts";
import { NO_SERVERS } from "../src/gateway/upstream/upstream.ts";
import { PROJECT } from "./bundle.ts";
import { openDevRefusal, readDevArguments, type Named } from "./refuse-open-dev.ts";

type Variables = Readonly<Record<string, string | undefined>>;

const VARIABLES = [...CONFIG_VARIABLES, ...AUTH_VARIABLES];

/** Variables that `wrangler dev` takes as an argument of its own. */
const PLACES = { HOST: "--ip", PORT: "--port", STATE_DIR: "--persist-to" };

/**
 * The arguments of `wrangler dev`: those that stand for the environment, and those that were given.
 * `secrets` names variables of the environment that are passed on too.
 *
 * @example devArguments([], { LOG_LEVEL: "debug", PORT: "9000" }) // ["--var", "LOG_LEVEL:debug", "--port", "9000"]
 */
export function devArguments(
  args: readonly string[],
  env: Variables,
  secrets: readonly string[] = [],
): string[] {
  const isSet = (name: string) => text(env, name) !== undefined;
  const vars = [...new Set([...VARIABLES, ...secrets])].filter(isSet);
  const places = Object.entries(PLACES).filter(
    ([name, option]) => isSet(name) && !args.some((arg) => arg.split("=")[0] === option),
  );
  // `--var` takes every word that follows up to the next option, so a script's path must come before.
  const first = args.findIndex((arg) => arg.startsWith("-"));
  const paths = first === -1 ? args : args.slice(0, first);
  return [
    ...paths,
    ...vars.flatMap((name) => ["--var", `${name}:${env[name]}`]),
    ...places.flatMap(([name, option]) => [option, env[name] ?? ""]),
    ...args.slice(paths.length),
  ];
}

interface Files {
  readonly ip: string | undefined;
  /** Of `[vars]`, `.dev.vars` or `.env`. */
  readonly vars: Environment;
  /** Names of service bindings. */
  readonly services: readonly string[];
}

/** Reads the files that `wrangler dev` will read. */
function readFiles({ config = join(PROJECT, "wrangler.toml"), env, envFiles }: Named): Files {
  const { dev, vars, services, configPath } = unstable_readConfig(
    { config, env },
    { hideWarnings: true },
  );
  const found = unstable_getVarsForDev(configPath, envFiles, vars, env, true);
  const valueOf = (one: object): unknown => ("value" in one ? one.value : one);
  const bound: readonly { readonly binding: string }[] = services ?? [];
  return {
    ip: dev.ip,
    vars: Object.fromEntries(Object.entries(found).map(([name, one]) => [name, valueOf(one)])),
    services: bound.map(({ binding }) => binding),
  };
}

/** Throws a ConfigError of one line for what the Worker would refuse in many. */
function check(env: Environment, services: readonly string[]): void {
  refuseMisspelt(
    env,
    [...VARIABLES, ...Object.keys(PLACES)],
    [...namesInUpstreams(env), ...services],
  );
  const config = loadConfig(env);
  refuseForwardedTokens(loadAuthSettings(env), config.upstreams);
  ownServers(config, NO_SERVERS);
  const bindings = services.map((name) => [name, { fetch }]);
  openUpstreams(config, { ...env, ...Object.fromEntries(bindings) });
}

async function main(args: readonly string[], env: Variables): Promise<void> {
  const { named, vars } = readDevArguments(args);
  const files = readFiles(named);
  const given = Object.fromEntries(
    vars
      .filter((one) => one.includes(":"))
      .map((one) => [one.split(":")[0], one.slice(one.indexOf(":") + 1)]),
  );
  // An empty variable counts as unset, so a file's stands.
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== ""));
  const all: Environment<"UPSTREAMS"> = { ...files.vars, ...set, ...given };
  check(all, files.services);
  const secrets = secretNames(parseUpstreams(text(all, "UPSTREAMS")));
  const passed = devArguments(args, env, secrets);
  const { AUTH: auth }: Environment<"AUTH"> = files.vars;
  const refusal = openDevRefusal(passed, () => ({ ip: files.ip, auth }), true);
  if (refusal !== undefined) throw new ConfigError(refusal);
  const wrangler = join(PROJECT, "node_modules/wrangler/bin/wrangler.js");
  const dev = spawn(process.execPath, [wrangler, "dev", ...passed], { stdio: "inherit" });
  // A terminal sends SIGINT to both. Either way this process ends when that has ended.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => dev.kill(signal));
  const [code, signal] = (await once(dev, "exit")) as [number | null, NodeJS.Signals | null];
  process.exitCode = code ?? 128 + (signal ? constants.signals[signal] : 0);
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2), process.env);
  } catch (failure) {
    console.error(`holdfast: ${failure instanceof Error ? failure.message : String(failure)}`);
    process.exitCode = 1;
  }
}
