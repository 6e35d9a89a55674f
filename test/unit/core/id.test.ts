import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  derivedSessionId,
  isDerivedId,
  parseSessionId,
  redactSessionId,
} from "../../../src/core/id.ts";
import { newSessionId } from "../../../src/library/model/session.ts";

const CANONICAL = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01";

describe("parseSessionId", () => {
  it.each([
    CANONICAL,
    CANONICAL.toUpperCase(),
    CANONICAL.replaceAll("-", ""),
    `{${CANONICAL}}`,
    `urn:uuid:${CANONICAL}`,
    `URN:UUID:${CANONICAL.toUpperCase()}`,
  ])("reads %s as one and the same id", (text) => {
    expect(parseSessionId(text)).toBe(CANONICAL);
  });

  it.each([
    "",
    "abc",
    `${CANONICAL} `,
    `{${CANONICAL}`,
    `{${CANONICAL.replaceAll("-", "")}}`,
    `urn:uuid:{${CANONICAL}}`,
    `urn:uuid:${CANONICAL.replaceAll("-", "")}x`,
    CANONICAL.replace("8", "g"),
    CANONICAL.replace("-", "_"),
    `${CANONICAL}\n`,
    "x".repeat(100_000),
  ])("refuses %j", (text) => {
    expect(parseSessionId(text)).toBeUndefined();
  });

  it("normalises every form of every UUID to itself", () => {
    fc.assert(
      fc.property(fc.uuid(), (uuid) => {
        for (const form of [
          uuid,
          uuid.toUpperCase(),
          uuid.replaceAll("-", ""),
          `{${uuid}}`,
          `urn:uuid:${uuid}`,
        ]) {
          expect(parseSessionId(form)).toBe(uuid);
        }
      }),
    );
  });
});

it("new ids are canonical UUIDs of version 4", () => {
  const id = newSessionId();
  expect(parseSessionId(id)).toBe(id);
  expect(id[14]).toBe("4");
});

it("a log has the beginning of an id, and not the id", () => {
  expect(redactSessionId(CANONICAL)).toBe("8c2d0cf4…");
});

describe("derivedSessionId", () => {
  const BYTES = Uint8Array.from({ length: 32 }, (_, n) => n * 7);

  it("follows from the bytes, and is a UUID of version 8", () => {
    expect(derivedSessionId(BYTES)).toBe("00070e15-1c23-8a31-883f-464d686f6c64");
    expect(derivedSessionId(BYTES.map((byte) => byte ^ 1))).not.toBe(derivedSessionId(BYTES));
  });

  it("is known again, and no id that is made at random is taken for one", () => {
    expect(isDerivedId(derivedSessionId(BYTES))).toBe(true);
    expect(isDerivedId(newSessionId())).toBe(false);
    const ending = parseSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c686f6c64")!;
    expect(isDerivedId(ending)).toBe(false);
  });
});
