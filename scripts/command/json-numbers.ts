/** Numbers of JSON as a double holds them. */

/** Strings first, so that no digit within one counts. */
const STRING_OR_NUMBER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** Whether a number of the JSON text is another one after `JSON.parse`. Its way of writing does not count: 1.0 is 1. */
export function changesNumbers(json: string): boolean {
  return [...json.matchAll(STRING_OR_NUMBER)].some(
    ([token]) => !token.startsWith('"') && valueOf(token) !== valueOf(String(Number(token))),
  );
}

/** One text for each value: its sign, its digits without zeros at the ends, and its power of ten. */
function valueOf(number: string): string {
  const parts = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number);
  // The text of what a double cannot hold: Infinity.
  if (parts === null) return number;
  const [, sign = "", whole = "", fraction = "", power = "0"] = parts;
  const digits = `${whole}${fraction}`.replace(/^0+/, "");
  const significant = digits.replace(/0+$/, "");
  if (significant === "") return "0";
  return `${sign}${significant}e${Number(power) - fraction.length + digits.length - significant.length}`;
}
