/**
 * A text of at most `most` characters (UTF-16): a longer one ends in an ellipsis.
 *
 * @example shorten("abcdef", 4) // "abc…"
 */
export function shorten(text: string, most: number): string {
  if (text.length <= most) return text;
  // A pair that is cut in two would have no UTF-8.
  return `${text.slice(0, most - 1).toWellFormed()}…`;
}
