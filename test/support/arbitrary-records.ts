/**
 * Arbitrary sessions, and arbitrary bytes as Go writes them. The writer here is a
 * second implementation, made from Go's rules and not from the codec: it sorts
 * real UTF-8 bytes, and looks each character up in a table of its own.
 */
import * as fc from "fast-check";

export const text = fc.string({ unit: "binary", maxLength: 40 });

export const metadata = fc
  .array(fc.tuple(text, text), { maxLength: 8 })
  .map((entries) => new Map(entries));

const digits = (most: number) => fc.integer({ min: 0, max: most });
const pad = (value: number, width: number) => String(value).padStart(width, "0");

/** Times that Go would write, nanoseconds and offsets included. */
const goTime = fc
  .record({
    year: fc.integer({ min: 1, max: 9999 }),
    month: fc.integer({ min: 1, max: 12 }),
    day: fc.integer({ min: 1, max: 28 }),
    hour: digits(23),
    minute: digits(59),
    second: digits(59),
    nanos: fc.oneof(
      fc.constant(0),
      digits(999_999_999),
      digits(999).map((ms) => ms * 1_000_000),
    ),
    zone: fc.oneof(fc.constant("Z"), fc.constantFrom("+02:00", "-09:30", "+13:45", "-00:01")),
  })
  .map(({ year, month, day, hour, minute, second, nanos, zone }) => {
    const fraction = nanos === 0 ? "" : `.${pad(nanos, 9).replace(/0+$/, "")}`;
    const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
    return `${date}T${pad(hour, 2)}:${pad(minute, 2)}:${pad(second, 2)}${fraction}${zone}`;
  });

const SHORT: Readonly<Record<number, string>> = {
  8: "\\b",
  9: "\\t",
  10: "\\n",
  12: "\\f",
  13: "\\r",
  34: '\\"',
  92: "\\\\",
};

export function goString(value: string): string {
  let out = "";
  for (const character of value) {
    const code = character.codePointAt(0) ?? 0;
    const escaped = code < 0x20 || [0x3c, 0x3e, 0x26, 0x2028, 0x2029].includes(code);
    out += SHORT[code] ?? (escaped ? `\\u${code.toString(16).padStart(4, "0")}` : character);
  }
  return `"${out}"`;
}

export function goMap(map: ReadonlyMap<string, string>): string {
  const members = [...map]
    .toSorted(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    .map(([key, value]) => `${goString(key)}:${goString(value)}`);
  return `{${members.join(",")}}`;
}

/** Raw JSON as Go compacts it: any key order, repeated keys, numbers in any notation. */
const goData: fc.Arbitrary<string> = fc.letrec<{ json: string }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom("null", "true", "false", "1.0", "1e3", "-0.0", "1E+2", "9007199254740993"),
    text.map(goString),
    fc.array(tie("json"), { maxLength: 4 }).map((items) => `[${items.join(",")}]`),
    fc
      .array(fc.tuple(text.map(goString), tie("json")), { maxLength: 4 })
      .map((members) => `{${members.map(([key, value]) => `${key}:${value}`).join(",")}}`),
  ),
})).json;

export const goRecord = fc
  .record({
    id: fc.uuid(),
    type: fc.oneof(fc.constantFrom("mcp", "sse"), text),
    created: goTime,
    updated: goTime,
    data: fc.option(goData),
    metadata,
  })
  .map(({ id, type, created, updated, data, metadata }) => {
    // Go never writes the data of a streamable session, which the type could be by chance.
    const dataMember = data === null || type === "streamable" ? "" : `,"data":${data}`;
    const metadataMember = metadata.size === 0 ? "" : `,"metadata":${goMap(metadata)}`;
    const head = `{"id":"${id}","type":${goString(type)}`;
    return `${head},"created_at":"${created}","updated_at":"${updated}"${dataMember}${metadataMember}}`;
  });
