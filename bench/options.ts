/** Command lines: one strict parser for the benchmarks, the profiler and the soak. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/** A bad argument. The message is one line that names it. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** Reads a command line strictly. Throws an OptionError for the first argument that is wrong. */
export function parseOptions<const T extends NonNullable<ParseArgsConfig["options"]>>(
  args: readonly string[],
  options: T,
  allowPositionals = false,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (failure) {
    // Node explains "--seconds -1" in three lines, of which the first names the option.
    const [line = ""] = (failure instanceof Error ? failure.message : String(failure)).split("\n");
    throw new OptionError(line);
  }
}

export interface Bounds {
  readonly least: number;
  readonly most?: number;
  readonly whole?: boolean;
}

/** A number as it was given; undefined where none was. Throws an OptionError that names the argument. */
export function readNumber(
  name: string,
  text: string | undefined,
  { least, most = Infinity, whole = false }: Bounds,
): number | undefined {
  if (text === undefined) return undefined;
  const read = /^\d+(\.\d+)?$/.test(text) ? Number(text) : NaN;
  if (read >= least && read <= most && (!whole || Number.isInteger(read))) return read;
  const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
  const kind = whole ? "whole number" : "number";
  throw new OptionError(`${name} must be a ${kind} ${range}, not "${text}"`);
}

/** The member of a record that has this name. Throws an OptionError that says which names there are. */
export function named<T>(what: string, name: string, all: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found !== undefined) return found;
  throw new OptionError(`no ${what} "${name}"; there are ${Object.keys(all).join(", ")}`);
}

/**
 * Runs a command and ends the process: with 2 for a bad argument, with `failed` where the command
 * fails, with 130 or 143 where SIGINT or SIGTERM ends it (as a shell tells it), and else with the
 * status that the command has set.
 */
export async function runCommand(
  name: string,
  usage: string,
  main: (args: readonly string[]) => Promise<void>,
  failed = 1,
): Promise<never> {
  for (const [signal, status] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(signal, () => {
      console.error(`${name}: ended by ${signal}, without a result`);
      process.exit(status);
    });
  }
  const args = process.argv.slice(2);
  try {
    if (args.includes("--help")) console.log(usage);
    else await main(args);
  } catch (failure) {
    const isOption = failure instanceof OptionError;
    console.error(isOption ? `${name}: ${failure.message}\n${usage}` : failure);
    // A status that the command has set says more: the soak's, that something was lost.
    process.exitCode ??= isOption ? 2 : failed;
  }
  // A server or a connection that was left behind would keep the process for ever. Left to end by
  // itself, Node 24.21 also spins in the clean-up of its handles after relays have reset
  // connections (measured with perf), when nothing keeps its loop alive.
  process.exit();
}
