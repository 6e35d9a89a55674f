/** The bounds of every JSON text that comes from outside, checked before it is parsed. */
import { MAX_JSON_DEPTH, MAX_JSON_VALUES } from "./limits.ts";
import { shapeOf } from "../wire/json-shape.ts";

/**
 * The first bound that a JSON text breaks, as the end of a sentence; undefined if it breaks none.
 * `maxElements` bounds the elements of an array.
 *
 * @example jsonProblem("[".repeat(65) + "]".repeat(65)) // "is nested deeper than 64 levels"
 */
export function jsonProblem(text: string, maxElements = Infinity): string | undefined {
  // JSON takes two characters for each level, and for each element. Most texts are no longer than that.
  if (text.length <= 2 * MAX_JSON_DEPTH && text.length <= 2 * maxElements) return undefined;
  const { depth, values, elements } = shapeOf(text);
  if (depth > MAX_JSON_DEPTH) return `is nested deeper than ${MAX_JSON_DEPTH} levels`;
  if (elements > maxElements) return `is a batch of more than ${maxElements} messages`;
  if (values > MAX_JSON_VALUES) return `holds more than ${MAX_JSON_VALUES} values`;
  return undefined;
}

/** Whether a JSON text holds more values than are parsed. Most texts are too short for that. */
export function hasTooManyValues(text: string): boolean {
  return text.length > 2 * MAX_JSON_VALUES && shapeOf(text).values > MAX_JSON_VALUES;
}
