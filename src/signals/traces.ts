/**
 * Spans in the platform's traces, where it has them. A span says what was done and how it came out. It
 * holds no id, no ticket, no URL and no content.
 */

import { SessionError } from "../core/errors.ts";

interface Span {
  setAttribute(name: string, value: string): unknown;
}

interface Tracing {
  enterSpan<T>(name: string, work: (span: Span) => T): T;
}

let tracing: Tracing | undefined;

/** Takes the platform's tracing API from its module; undefined where it has none, and then no span is made. */
export function traceWith(platform: unknown): void {
  const found = (platform as { readonly tracing?: Partial<Tracing> } | undefined)?.tracing;
  tracing = typeof found?.enterSpan === "function" ? (found as Tracing) : undefined;
}

/** Says how the work of a span came out, in one of a few words. */
export type Say = (outcome: string) => void;

const SILENT: Say = () => undefined;

/**
 * Does `work` within a span. `attributes` are names that the configuration has, such as an upstream's.
 *
 * @example await traced("holdfast.publish", {}, (say) => saying(say, () => "stored", publish(id)));
 */
export function traced<T>(
  name: string,
  attributes: Readonly<Record<string, string>>,
  work: (say: Say) => Promise<T>,
): Promise<T> {
  if (!tracing) return work(SILENT);
  return tracing.enterSpan(name, (span) => {
    for (const [key, value] of Object.entries(attributes)) span.setAttribute(key, value);
    return work((outcome) => void span.setAttribute("outcome", outcome));
  });
}

/** Says the outcome of `work`: what `outcomeOf` makes of its value, or the code of its error. */
export async function saying<T>(
  say: Say,
  outcomeOf: (value: T) => string,
  work: Promise<T>,
): Promise<T> {
  try {
    const value = await work;
    say(outcomeOf(value));
    return value;
  } catch (failure) {
    say(failure instanceof SessionError ? failure.code : "failed");
    throw failure;
  }
}
