/** Command lines of the benchmarks, the soak, the matrix, the attack and the mutants: one strict parser, one way to run. */
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
    // Node explains "--seconds -1" in three lines, and "--bogus" in two sentences. The first names the option.
    const text = failure instanceof Error ? failure.message : String(failure);
    const [line = ""] = text.split(/\n|\. To specify/);
    throw new OptionError(line);
  }
}

export type Bounds = { readonly least: number; readonly most?: number; readonly whole?: boolean };

/** Reads a number; undefined if there is none. Throws an OptionError that names the argument. */
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

/** The member with this name. Throws an OptionError that lists all names. */
export function named<T>(what: string, name: string, all: Readonly<Record<string, T>>): T {
  const found = Object.hasOwn(all, name) ? all[name] : undefined;
  if (found !== undefined) return found;
  throw new OptionError(`no ${what} "${name}"; there are ${Object.keys(all).join(", ")}`);
}

/**
 * Runs a command and ends the process. The status is 2 for a bad argument, `failed` if the command
 * fails, 130 or 143 after SIGINT or SIGTERM (as in a shell), and else the one the command has set.
 */
export async function runCommand(
  name: string,
  usage: string,
  main: (args: readonly string[]) => Promise<void>,
  failed = 1,
): Promise<never> {
  for (const [signal, status] of Object.entries({ SIGINT: 130, SIGTERM: 143 })) {
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
    // The soak's own status says that something was lost, which is the graver news.
    process.exitCode ??= isOption ? 2 : failed;
  }
  // An open server or connection would keep the process for ever. Without one, Node 24.21 still
  // spins in the clean-up of its handles after relays have reset connections (measured with perf).
  process.exit();
}
