import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  decodeMetadata,
  decodeSession,
  encodeMetadata,
  encodeSession,
} from "../../../../src/library/model/codec.ts";
import { compareUtf8 } from "../../../../src/library/model/go-json.ts";
import {
  ProxySession,
  recordOf,
  StreamableSession,
} from "../../../../src/library/model/session.ts";
import { SSESession } from "../../../../src/library/model/sse-session.ts";
import { goMap, goRecord, metadata, text } from "../../../support/arbitrary-records.ts";

const runs = { numRuns: 500 };

const session = fc
  .record({
    id: fc.uuid(),
    type: fc.oneof(
      fc.constantFrom("mcp", "sse", "streamable"),
      text.filter((type) => type !== ""),
    ),
    now: fc.integer({ min: -62135596800000, max: 253402300799999 }),
    touched: fc.integer({ min: -62135596800000, max: 253402300799999 }),
    data: fc.option(fc.jsonValue(), { nil: undefined }),
    metadata,
  })
  .map(({ id, type, now, touched, data, metadata }) => {
    const clock = { now: () => now };
    const made = make(id, type, { clock });
    made.setData(data);
    for (const [key, value] of metadata) made.setMetadata(key, value);
    clock.now = () => touched;
    made.touch();
    return made;
  });

function make(id: string, type: string, options: { clock: { now: () => number } }): ProxySession {
  if (type === "sse") return new SSESession(id, undefined, options);
  if (type === "streamable") return new StreamableSession(id, options);
  return new ProxySession(id, type, options);
}

describe("the codec, for arbitrary input", () => {
  it("decode(encode(session)) equals the session", () => {
    fc.assert(
      fc.property(session, (original) => {
        const copy = decodeSession(encodeSession(original));
        expect(copy.constructor).toBe(original.constructor);
        const { dataJson: written, ...record } = recordOf(copy);
        const { dataJson, ...expected } = recordOf(original);
        expect(record).toEqual(expected);
        expect(copy.createdAt).toEqual(original.createdAt);
        // The same JSON: Go's escapes are another way to write the same strings.
        expect(written === undefined).toBe(dataJson === undefined);
        if (dataJson !== undefined) expect(copy.getData()).toEqual(JSON.parse(dataJson));
      }),
      runs,
    );
  });

  it("encode(decode(bytes)) equals the bytes, for any that Go would write", () => {
    fc.assert(
      fc.property(goRecord, (json) => {
        expect(encodeSession(decodeSession(json))).toBe(json);
      }),
      runs,
    );
  });

  it("metadata maps are written as Go writes them, and come back", () => {
    fc.assert(
      fc.property(metadata, (map) => {
        const json = encodeMetadata(Object.fromEntries(map));
        expect(json).toBe(goMap(map));
        expect(decodeMetadata(json)).toEqual(Object.fromEntries(map));
      }),
      runs,
    );
  });

  it("compareUtf8 orders as bytes do", () => {
    fc.assert(
      fc.property(text, text, (a, b) => {
        expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)));
      }),
      runs,
    );
  });
});
