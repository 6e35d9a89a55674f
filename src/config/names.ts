/** Finds variables that somebody has misspelt. Such a variable would be ignored in silence. */
import { ConfigError, text, type Environment } from "./env.ts";

/** Names of at most this many letters are like many other words: `PATH` is two letters off `AUTH`. */
const SHORT = 5;

/**
 * Throws a ConfigError that names the first variable that is one or two letters off one of `ours`; one
 * letter, for a short name. A name that only shares a beginning or an end with ours is another
 * program's, such as `PORT_2` or `HOLDFAST_PORT`.
 *
 * @param others - Names with a meaning here that may be like ours, such as those of secrets.
 *
 * @example refuseMisspelt({ LOGLEVEL: "debug" }, ["LOG_LEVEL"]) // throws
 */
export function refuseMisspelt(
  env: Environment,
  ours: readonly string[],
  others: readonly string[] = [],
): void {
  const known = new Set([...ours, ...others]);
  for (const name of Object.keys(env)) {
    if (known.has(name)) continue;
    const meant = ours.find((one) => isMisspelt(name, one));
    if (meant === undefined || text(env, name) === undefined) continue;
    throw new ConfigError(`there is no variable ${name}; is it meant to be ${meant}?`);
  }
}

function isMisspelt(name: string, ours: string): boolean {
  const most = ours.length <= SHORT ? 1 : 2;
  if (Math.abs(name.length - ours.length) > most) return false;
  // In a short name another case would be another word, such as `host` or `auth`.
  const typed = ours.length <= SHORT ? name : name.toUpperCase();
  if (new RegExp(`^${ours}[_\\d]|_${ours}$`).test(typed)) return false;
  return distance(typed, ours) <= most;
}

/** Letters to add, to leave out, to replace or to swap with the next one. */
function distance(from: string, to: string): number {
  // Row by row: the distances of the first i letters of `from` to the first j letters of `to`.
  const rows = [Array.from({ length: to.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= from.length; i++) {
    rows.push([i]);
    for (let j = 1; j <= to.length; j++) {
      const isSame = from[i - 1] === to[j - 1];
      const isSwapped = from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1];
      const least = Math.min(
        at(i - 1, j) + 1,
        at(i, j - 1) + 1,
        at(i - 1, j - 1) + (isSame ? 0 : 1),
        i > 1 && j > 1 && isSwapped ? at(i - 2, j - 2) + 1 : Infinity,
      );
      rows[i]?.push(least);
    }
  }
  return at(from.length, to.length);
}
