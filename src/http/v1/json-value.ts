/** The schema of any JSON that a client sends, and schemas as JSON Schema. */
import * as z from "zod";

/**
 * Any JSON of a session or an event. A number is an IEEE 754 double (RFC 8259, section 6).
 * `JSON.parse` turns a larger number into Infinity, which JSON would write as null, so the schema
 * refuses it and names its place.
 */
export function jsonValue() {
  return z.unknown().superRefine((value, context) => {
    const path = pathToInfinity(value);
    if (!path) return;
    const message = "is a number too large to be held (an IEEE 754 double)";
    context.addIssue({ code: "custom", path, message, input: value });
  });
}

/** The path to an infinite number in a value, or undefined. The reader of bodies bounds the recursion. */
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

/** A schema as JSON Schema, of what a client sends. */
export function jsonSchema(
  schema: z.core.$ZodType,
  instead: (part: z.core.$ZodType) => z.core.JSONSchema.BaseSchema | undefined = () => undefined,
): z.core.JSONSchema.BaseSchema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, {
    io: "input",
    override({ zodSchema, jsonSchema }) {
      const other = instead(zodSchema);
      if (!other) return;
      for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
      Object.assign(jsonSchema, other);
    },
  });
  return rest;
}
