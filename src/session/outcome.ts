/**
 * What a session's object answers over RPC, where error classes are lost: a
 * value, or the code of an expected error. Anything thrown instead means that
 * the object failed.
 */
import { errorFromCode, type ErrorCode } from "./errors.ts";

export type Outcome<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: ErrorCode; readonly detail?: string };

export function succeed<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function refuse(code: ErrorCode, detail?: string): Outcome<never> {
  return detail === undefined ? { ok: false, code } : { ok: false, code, detail };
}

/** The value, or the error thrown. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw errorFromCode(outcome.code, outcome.detail);
}
