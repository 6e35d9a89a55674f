/**
 * Finds values in a JSON text and keeps them as they were written: JSON.parse and JSON.stringify
 * would change `1.0`, `9007199254740993` and `1E-7`. Nothing is validated here: of a text that is no
 * JSON they find something or nothing, but they end.
 */

import { parseJson } from "./json.ts";

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const OPEN_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
export const CLOSE_BRACKET = 0x5d;
export const OPEN_BRACE = 0x7b;
export const CLOSE_BRACE = 0x7d;
/** Outside of strings, every JSON character up to this one is white space. */
const SPACE = 0x20;

export interface Span {
  readonly start: number;
  readonly end: number;
}

/** A member's value, and where its name begins. */
interface MemberSpan extends Span {
  readonly name: number;
}

/**
 * The place of this member's value in the object `text`; undefined if there is none. If several
 * members have this name, the last one counts, as with JSON.parse.
 */
function memberSpan(text: string, name: string): MemberSpan | undefined {
  let found: MemberSpan | undefined;
  const quoted = JSON.stringify(name);
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACE) return undefined;
  for (at = skipSpace(text, at + 1); text.charCodeAt(at) === QUOTE; at = skipComma(text, at)) {
    const keyEnd = skipString(text, at);
    const start = skipSpace(text, skipSpace(text, keyEnd) + ":".length);
    const end = skipValue(text, start);
    const key = text.slice(at, keyEnd);
    // A key may be written with escapes.
    if (key === quoted || (key.includes("\\") && parseJson(key) === name))
      found = { name: at, start, end };
    at = end;
  }
  return found;
}

/**
 * The text of this member's value; undefined if the object has no such member.
 *
 * @example memberText('{"id":7.0}', "id") // "7.0"
 */
export function memberText(text: string, name: string): string | undefined {
  const span = memberSpan(text, name);
  return span && text.slice(span.start, span.end);
}

/** The texts of the members of the object `text`, by their names; undefined if it is no object. */
export function membersOf(text: string | undefined): Record<string, string> | undefined {
  if (text?.charCodeAt(skipSpace(text, 0)) !== OPEN_BRACE) return undefined;
  const members = [...memberSpans(text)].map(
    (span) => [nameOf(text, span), text.slice(span.start, span.end)] as const,
  );
  return Object.fromEntries(members);
}

/** The texts of the elements of the array `text`. */
export function elementTexts(text: string): string[] {
  const elements: string[] = [];
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACKET) return elements;
  for (at = skipSpace(text, at + 1); at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET;) {
    const end = skipValue(text, at);
    const next = skipComma(text, end);
    // A bracket that nothing opens.
    if (next === at) break;
    elements.push(text.slice(at, end));
    at = next;
  }
  return elements;
}

/** The text of the object with this member's value put in place of its own, or added where it has none. */
export function withMember(text: string, name: string, value: string): string {
  const span = memberSpan(text, name);
  if (span) return text.slice(0, span.start) + value + text.slice(span.end);
  const start = text.indexOf("{") + 1;
  const comma = text[skipSpace(text, start)] === "}" ? "" : ",";
  return `${text.slice(0, start)}${JSON.stringify(name)}:${value}${comma}${text.slice(start)}`;
}

/** The text of the object without the members of this name. */
export function withoutMember(text: string, name: string): string {
  const members = [...memberSpans(text)];
  const kept = members.flatMap((span, n) => (nameOf(text, span) === name ? [] : [n]));
  const [first, last] = [members[0], members.at(-1)];
  if (!first || !last || kept.length === members.length) return text;
  const head = text.slice(0, kept.length === 0 ? endBefore(text, first.name) : first.name);
  // Each but the last keeps what stands between it and the next one.
  const texts = kept.map((n) => {
    const next = n === kept.at(-1) ? members[n]?.end : members[n + 1]?.name;
    return text.slice(members[n]?.name, next);
  });
  return head + texts.join("") + text.slice(last.end);
}

/** The members of the object `text`, in their order. */
function* memberSpans(text: string): Generator<MemberSpan> {
  let at = skipSpace(text, 0);
  if (text.charCodeAt(at) !== OPEN_BRACE) return;
  for (at = skipSpace(text, at + 1); text.charCodeAt(at) === QUOTE; at = skipComma(text, at)) {
    const start = skipSpace(text, skipSpace(text, skipString(text, at)) + ":".length);
    const end = skipValue(text, start);
    yield { name: at, start, end };
    at = end;
  }
}

function nameOf(text: string, { name }: MemberSpan): string {
  const key = text.slice(name, skipString(text, name));
  // Most are written without escapes.
  return key.includes("\\") ? String(parseJson(key)) : key.slice(1, -1);
}

/** The end of what stands before the white space before `at`. */
function endBefore(text: string, at: number): number {
  let end = at;
  while (text.charCodeAt(end - 1) <= SPACE) end--;
  return end;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (text.charCodeAt(at) <= SPACE) at++;
  return at;
}

/** From the end of a value to the next one, or to the bracket that closes. */
function skipComma(text: string, from: number): number {
  const at = skipSpace(text, from);
  return text.charCodeAt(at) === COMMA ? skipSpace(text, at + 1) : at;
}

/** From the quote that opens a string to behind the one that closes it; to the end of a text without one. */
export function skipString(text: string, from: number): number {
  for (let at = from; ;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return text.length;
    let backslash = at;
    while (text.charCodeAt(backslash - 1) === BACKSLASH) backslash--;
    if ((at - backslash) % 2 === 0) return at + 1;
  }
}

/** From the start of a value to its end. Nesting costs no recursion. */
function skipValue(text: string, from: number): number {
  if (text.charCodeAt(from) === QUOTE) return skipString(text, from);
  let depth = 0;
  for (let at = from; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = skipString(text, at) - 1;
    else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
    else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      if (depth === 0) return at;
      if (--depth === 0) return at + 1;
    } else if (depth === 0 && (code === COMMA || code <= SPACE)) return at;
  }
  return text.length;
}
