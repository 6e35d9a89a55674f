/**
 * `npm start` runs this before `wrangler dev`, with the same arguments. `wrangler dev` lets a client say
 * from which address it comes, so without AUTH it must listen on this machine alone.
 */
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs, parseEnv } from "node:util";
import type Wrangler from "wrangler";
import { isLoopbackName, parseHost } from "../src/auth/origin.ts";
import { PROJECT } from "./bundle.ts";

/**
 * The line that refuses to start; undefined where it may.
 *
 * @param args - Those of `wrangler dev`: `--ip` and `--var NAME:VALUE` count here.
 * @param configured - The variables of `.dev.vars` and wrangler.toml, read only if they matter.
 *
 * @example openDevRefusal(["--ip", "0.0.0.0"], () => ({})) // "--ip 0.0.0.0 is reachable by others, …"
 */
export function openDevRefusal(
  args: readonly string[],
  configured: () => Readonly<Record<string, unknown>>,
): string | undefined {
  const { values } = parseArgs({
    args: [...args],
    strict: false,
    options: { ip: { type: "string" }, var: { type: "string", multiple: true } },
  });
  const { ip } = values;
  if (typeof ip !== "string" || isLoopbackName(parseHost(ip)?.hostname ?? "")) return undefined;
  const vars = values.var ?? [];
  if (vars.some((one) => typeof one === "string" && /^AUTH:./.test(one))) return undefined;
  if (configured()["AUTH"]) return undefined;
  return `--ip ${ip} is reachable by others, so AUTH must be set: in wrangler.toml, in .dev.vars, or by --var AUTH:token (docs/options.md)`;
}

/** Loads wrangler, which takes a second, so only if the variables matter. */
function configuredVariables(): Readonly<Record<string, unknown>> {
  const load = createRequire(import.meta.url);
  const { unstable_readConfig } = load("wrangler") as typeof Wrangler;
  const { vars } = unstable_readConfig(
    { config: join(PROJECT, "wrangler.toml") },
    { hideWarnings: true },
  );
  const file = join(PROJECT, ".dev.vars");
  return { ...vars, ...(existsSync(file) && parseEnv(readFileSync(file, "utf8"))) };
}

if (import.meta.main) {
  const refusal = openDevRefusal(process.argv.slice(2), configuredVariables);
  if (refusal !== undefined) {
    console.error(refusal);
    process.exitCode = 1;
  }
}
