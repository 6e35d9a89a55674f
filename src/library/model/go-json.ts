/**
 * Writes JSON as Go's encoding/json does, and reads what `JSON.parse` does not keep: a value's own text,
 * and every member in order. Nothing here checks syntax: `JSON.parse` has taken the text before.
 */

const GO_ESCAPES: Readonly<Record<string, string>> = {
  "<": "\\u003c",
  ">": "\\u003e",
  "&": "\\u0026",
  "\u2028": "\\u2028",
  "\u2029": "\\u2029",
};

/** Escapes the characters that Go escapes and JavaScript does not. JSON has them in strings only. */
export function escapeJson(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (character) => GO_ESCAPES[character] ?? character);
}

/** A string as Go writes it. Half a surrogate pair, which has no UTF-8, becomes U+FFFD. */
export function goString(text: string): string {
  return escapeJson(JSON.stringify(text.toWellFormed()));
}

/**
 * A string map as Go writes it: compact, its keys in UTF-8 byte order. Keys that differ only
 * in halves of surrogate pairs are the same in UTF-8; the last one counts.
 */
export function goStringMap(map: Readonly<Record<string, string>>): string {
  const entries = new Map(Object.entries(map).map(([key, value]) => [key.toWellFormed(), value]));
  const members = [...entries]
    .toSorted(([a], [b]) => compareUtf8(a, b))
    .map(([key, value]) => `${goString(key)}:${goString(value)}`);
  return `{${members.join(",")}}`;
}

/** Orders strings by code point, as UTF-8 does. JavaScript compares UTF-16 units: U+1F600 before U+FF5E. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left !== right) return rank(left) - rank(right);
  }
  return a.length - b.length;
}

/** Moves the surrogates, which stand for code points past U+FFFF, behind all other units. */
function rank(unit: number): number {
  const isSurrogate = unit >= 0xd800 && unit <= 0xdfff;
  return isSurrogate ? unit + 0x10000 : unit;
}

/** Raw JSON as Go writes a `json.RawMessage`: compact and escaped, with its own order and numbers. */
export function goRawJson(json: string): string {
  let compact = "";
  let from = 0;
  for (let i = 0; i < json.length; i++) {
    if (json[i] === '"') i = endOfString(json, i) - 1;
    else if (isSpace(json[i])) {
      compact += json.slice(from, i);
      from = i + 1;
    }
  }
  return escapeJson(compact + json.slice(from));
}

interface Member {
  readonly key: string;
  /** The value's own text. */
  readonly json: string;
}

/** The members of a JSON object, in order, repeated keys included. `json` must be an object's text. */
export function membersOf(json: string): Member[] {
  const members: Member[] = [];
  let i = skipSpace(json, json.indexOf("{") + 1);
  while (json[i] === '"') {
    const keyEnd = endOfString(json, i);
    // A JSON string parses to a string.
    const key = JSON.parse(json.slice(i, keyEnd)) as string;
    const start = skipSpace(json, json.indexOf(":", keyEnd) + 1);
    const end = endOfValue(json, start);
    members.push({ key, json: json.slice(start, end).trimEnd() });
    i = json[end] === "," ? skipSpace(json, end + 1) : end;
  }
  return members;
}

/** The index of the `,` or closing bracket after the value that starts at `from`. */
function endOfValue(json: string, from: number): number {
  let depth = 0;
  let i = from;
  for (; i < json.length; i++) {
    const character = json[i];
    if (character === '"') i = endOfString(json, i) - 1;
    else if (character === "{" || character === "[") depth++;
    else if (character === "}" || character === "]") {
      if (depth === 0) return i;
      depth--;
    } else if (character === "," && depth === 0) return i;
  }
  return i;
}

/** The index after the closing quote of the string whose opening quote is at `from`. */
function endOfString(json: string, from: number): number {
  let i = from + 1;
  while (i < json.length && json[i] !== '"') i += json[i] === "\\" ? 2 : 1;
  return i + 1;
}

function isSpace(character: string | undefined): boolean {
  return character === " " || character === "\n" || character === "\r" || character === "\t";
}

function skipSpace(json: string, from: number): number {
  let i = from;
  while (isSpace(json[i])) i++;
  return i;
}
