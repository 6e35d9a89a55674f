/** Validation with zod, whose issues become one SessionError that names the field. */
import type * as z from "zod";
import { SessionError, type ErrorCode } from "../session/errors.ts";

/** Fields whose refusal has a code of its own in the contract. */
const FIELD_CODES: Readonly<Record<string, ErrorCode>> = {
  id: "invalid_session_id",
  type: "invalid_session_type",
};

/** The validated value. Throws a SessionError that names the first field that is wrong. */
export function validate<T extends z.ZodType>(schema: T, value: unknown): z.output<T> {
  refuseProtoKey(value, "metadata");
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issue = firstOf(result.error.issues);
  const field = fieldName(issue.path);
  const code = (issue.path.length === 1 && FIELD_CODES[field]) || "invalid_request";
  throw new SessionError(code, field ? `${field}: ${issue.message}` : issue.message);
}

/**
 * In a union, the branch that got furthest into the value is the one that was meant.
 * Of two that got as far, it is the one that took the value for what it is.
 */
function firstOf(issues: readonly z.core.$ZodIssue[]): z.core.$ZodIssue {
  const [issue] = issues;
  if (!issue) throw new TypeError("a failed validation has an issue");
  if (issue.code !== "invalid_union") return issue;
  const branches = issue.errors.flat();
  const deepest = branches.toSorted(
    (a, b) =>
      b.path.length - a.path.length ||
      Number(a.code === "invalid_type") - Number(b.code === "invalid_type"),
  )[0];
  if (!deepest) return issue;
  return { ...firstOf([deepest]), path: [...issue.path, ...deepest.path] };
}

function fieldName(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === "number" ? `[${key}]` : String(key)))
    .join(".")
    .replaceAll(".[", "[");
}

/** zod drops a record's `__proto__` key without a word; what is not stored must be refused instead. */
function refuseProtoKey(value: unknown, field: string): void {
  if (typeof value !== "object" || value === null) return;
  const record: unknown = (value as Record<string, unknown>)[field];
  if (typeof record === "object" && record !== null && Object.hasOwn(record, "__proto__")) {
    throw new SessionError("invalid_request", `${field}.__proto__: this key is not allowed`);
  }
}
