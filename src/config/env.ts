export type Environment = Readonly<Record<string, unknown>>;

/** A variable is missing or not what it must be. The message names it. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export const NUMBER = /^\d+(\.\d+)?$/;

export function text(env: Environment, name: string): string | undefined {
  const value = env[name];
  // An empty variable is how a shell or a .env file says unset.
  if (value === undefined || value === null || value === "") return undefined;
  return String(value).trim();
}

export function seconds(
  env: Environment,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = text(env, name);
  if (value === undefined) return fallback * 1000;
  const number = NUMBER.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) {
    throw refusal(name, `a number of seconds from ${least} to ${most}`, value);
  }
  return Math.round(number * 1000);
}

export function integer(
  env: Environment,
  name: string,
  fallback: number,
  least: number,
  most: number,
): number {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (!(number >= least && number <= most)) {
    throw refusal(name, `a whole number from ${least} to ${most}`, value);
  }
  return number;
}

export function oneOf<T extends string>(
  env: Environment,
  name: string,
  choices: readonly T[],
  fallback: T,
): T {
  const value = text(env, name);
  if (value === undefined) return fallback;
  const choice = choices.find((candidate) => candidate === value);
  if (choice === undefined) throw refusal(name, `one of ${choices.join(", ")}`, value);
  return choice;
}

export function refusal(name: string, expected: string, value: string): ConfigError {
  return new ConfigError(`${name} must be ${expected}, not ${JSON.stringify(value)}`);
}
