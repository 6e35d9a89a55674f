/** workerd itself, which stands beside this package: the package `workerd`, an optional peer. */
import { createRequire } from "node:module";

/** Thrown with one line that says what to install. */
export class WorkerdMissing extends Error {
  override readonly name = "WorkerdMissing";
}

/**
 * The path of the program. The command of its package may be a script that starts the program: that
 * would outlive a signal that ends the script. Throws a WorkerdMissing.
 */
export function workerdProgram(): string {
  let found: { readonly default: string };
  try {
    found = createRequire(import.meta.url)("workerd") as typeof found;
  } catch (cause) {
    const isThere = (cause as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND";
    const why = isThere ? `cannot be used here: ${lineOf(cause)}` : "is not there";
    throw new WorkerdMissing(`the package workerd ${why}; npm install workerd`, { cause });
  }
  return found.default;
}

function lineOf(failure: unknown): string {
  const text = failure instanceof Error ? failure.message : String(failure);
  return text.trim().split("\n")[0] ?? "";
}
