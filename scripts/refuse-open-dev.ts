/**
 * `npm start` asks this before it starts `wrangler dev`, with the same arguments. `wrangler dev` lets a
 * client say from which address it comes, so without AUTH it must listen on this machine alone.
 */
import { parseArgs } from "node:util";
import { isLoopbackName, parseHost } from "../src/auth/origin.ts";

/** The settings that `wrangler dev` reads from files. */
export interface Configured {
  /** `ip` of `[dev]`. */
  readonly ip: string | undefined;
  /** AUTH of `[vars]`, `.dev.vars` or `.env`. */
  readonly auth: unknown;
}

/** The files that the arguments name, in place of those that `wrangler dev` finds. */
export interface Named {
  readonly config?: string;
  readonly env?: string;
  readonly envFiles?: string[];
}

/**
 * The line that refuses to start; undefined where it may.
 *
 * @param args - Those of `wrangler dev`.
 * @param configured - Reads the files, only if they matter.
 * @param mayNameIp - Whether the configuration that is found without an argument may have an `ip`.
 *
 * @example openDevRefusal(["--ip", "0.0.0.0"], read) // "--ip 0.0.0.0 is reachable by others, …"
 */
export function openDevRefusal(
  args: readonly string[],
  configured: (named: Named) => Configured,
  mayNameIp = false,
): string | undefined {
  const { values, named, vars } = readDevArguments(args);
  let read: Configured | undefined;
  const files = () => (read ??= configured(named));
  const ips = texts(values.ip ?? []);
  const open = (ip: string) => !isLoopbackName(parseHost(ip)?.hostname ?? "");
  const way = (): string | undefined => {
    if (values.tunnel === true) return "--tunnel";
    if (ips.length > 0) return ips.filter(open).map((ip) => `--ip ${ip}`)[0];
    if (!mayNameIp && named.config === undefined) return undefined;
    const { ip } = files();
    return ip !== undefined && open(ip) ? `ip = "${ip}" in [dev]` : undefined;
  };
  const reachable = way();
  if (reachable === undefined) return undefined;
  // The last one that sets a variable wins, over the files too.
  const given = vars.findLast((one) => one.startsWith("AUTH:"));
  if (given === undefined ? files().auth : given !== "AUTH:") return undefined;
  return `${reachable} is reachable by others, so AUTH must be set: in the environment, in wrangler.toml, in .dev.vars, or by --var AUTH:token (docs/options.md)`;
}

/** The part of the arguments of `wrangler dev` that says where it listens, what it reads and which variables it sets. */
export function readDevArguments(args: readonly string[]) {
  const { values, positionals } = parseArgs({
    args: [...args],
    strict: false,
    options: {
      ip: { type: "string", multiple: true },
      var: { type: "string", multiple: true },
      tunnel: { type: "boolean" },
      config: { type: "string", short: "c" },
      env: { type: "string", short: "e" },
      "env-file": { type: "string", multiple: true },
    },
  });
  const named: Named = {
    ...(typeof values.config === "string" && { config: values.config }),
    ...(typeof values.env === "string" && { env: values.env }),
    ...(values["env-file"] && { envFiles: texts(values["env-file"]) }),
  };
  // `--var A:1 B:2` sets both.
  return { values, named, vars: [...texts(values.var ?? []), ...positionals] };
}

function texts(values: readonly unknown[]): string[] {
  return values.filter((value) => typeof value === "string");
}
