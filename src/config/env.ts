/**
 * The one reader of environment variables. The readers take an `Environment` of the names
 * that their caller declares, so a misspelt name does not compile.
 */
export type Environment<Name extends string = string> = { readonly [N in Name]?: unknown };

/** A variable is missing or not what it must be. The message names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** The variable's text without the space around it; undefined if it is unset or empty. */
export function text<Name extends string>(
  env: Environment<Name>,
  name: NoInfer<Name>,
): string | undefined {
  const value = env[name];
  // A shell or a .env file writes an unset variable as an empty one.
  if (value === undefined || value === null || value === "") return undefined;
  // Wrangler gives a JSON value of [vars] as it is.
  return (typeof value === "object" ? JSON.stringify(value) : String(value)).trim();
}

/** Seconds, with a fraction or without; the answer is in milliseconds. */
export function seconds<Name extends string>(
  env: Environment<Name>,
  name: NoInfer<Name>,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = text(env, name);
  if (value === undefined) return fallback * 1000;
  const number = /^\d+(\.\d+)?$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return Math.round(number * 1000);
  throw refusal(name, `a number of seconds from ${least} to ${most}`, value);
}

/** A whole number. A refusal quotes the variable's text, unless `quoted` is false. */
export function integer<Name extends string>(
  env: Environment<Name>,
  name: NoInfer<Name>,
  fallback: number,
  least: number,
  most: number,
  quoted = true,
): number {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return number;
  throw refusal(name, `a whole number from ${least} to ${most}`, quoted ? value : undefined);
}

/** One of some words. */
export function oneOf<Name extends string, T extends string>(
  env: Environment<Name>,
  name: NoInfer<Name>,
  choices: readonly T[],
  fallback: T,
): T {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw refusal(name, `one of ${choices.join(", ")}`, value);
  return choice;
}

/** The error for a bad variable. It quotes `value`; leave that out for a variable that may hold a secret. */
export function refusal(name: string, expected: string, value?: string): ConfigError {
  const instead = value === undefined ? "" : `, not ${JSON.stringify(value)}`;
  return new ConfigError(`${name} must be ${expected}${instead}`);
}
