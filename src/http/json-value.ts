/**
 * Any JSON that a session or an event may hold: what comes out must be what went in.
 * A number is an IEEE 754 double here, as RFC 8259 (section 6) expects of software that
 * wants to be understood. One that is larger than any double is parsed to Infinity,
 * which would be written as null, so it is refused.
 */
import * as z from "zod";

/** What `JSON.parse` answers, with the place of a number that it could not hold. */
export function jsonValue() {
  return z.unknown().superRefine((value, context) => {
    const path = pathToInfinity(value);
    if (!path) return;
    const message = "is a number too large to be held (an IEEE 754 double)";
    context.addIssue({ code: "custom", path, message, input: value });
  });
}

/** Where a value holds a number that is infinite; undefined where none is. Nesting is bounded before. */
export function pathToInfinity(value: unknown): PropertyKey[] | undefined {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : [];
  if (typeof value !== "object" || value === null) return undefined;
  if (Array.isArray(value)) return firstPath(value.keys(), value);
  return firstPath(Object.keys(value), value as Readonly<Record<string, unknown>>);
}

function firstPath<K extends PropertyKey>(
  keys: Iterable<K>,
  value: Readonly<Record<K, unknown>>,
): PropertyKey[] | undefined {
  for (const key of keys) {
    const path = pathToInfinity(value[key]);
    if (path) return [key, ...path];
  }
  return undefined;
}
