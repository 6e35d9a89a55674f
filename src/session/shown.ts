/** A session in the form that the caller of its object asked for. */
import type { Caller } from "../core/caller.ts";
import { documentOf, packDocument, type Form } from "../core/document.ts";
import { succeed, type Outcome } from "../core/errors.ts";
import type { SessionView } from "../core/host.ts";
import type { ExchangeAnswer } from "../gateway/contract.ts";

/** A string is a packed document. */
export type Shown = SessionView | string;

export function shown(view: Outcome<SessionView>, caller: Caller, form: Form): Outcome<Shown> {
  if (!view.ok || form === "view") return view;
  return succeed(packDocument(documentOf(view.value, caller)));
}

/** The text of the usual answer of an exchange, JSON with the status 200; undefined for any other. */
export function plainText(answer: ExchangeAnswer): string | undefined {
  const isPlain = answer.kind === "json" && answer.status === 200 && !answer.headers;
  return isPlain ? answer.body : undefined;
}
