import { describe, expect, it } from "vitest";
import { publishKeyOf } from "../../../src/session/publish-key.ts";
import type { NewEvent } from "../../../src/core/host.ts";

const fingerprintOf = async (...events: NewEvent[]) =>
  (await publishKeyOf("k", events)).fingerprint;

describe("a key", () => {
  it.each(["k", "!", "~".repeat(255), '"8e03978e-40d5-43dd-bc93-6894a57f9324"'])(
    "is %s, as it is",
    async (key) => expect(await publishKeyOf(key, [])).toMatchObject({ key }),
  );

  it.each([
    ["nothing", ""],
    ["256 characters", "k".repeat(256)],
    ["a space", "a b"],
    ["two headers, which arrive joined", "a, b"],
    ["a line feed at its end", "a\n"],
    ["a control character", "a\u007f"],
    ["a letter beyond ASCII", "clé"],
  ])("is not %s", async (_what, key) => {
    await expect(publishKeyOf(key, [])).rejects.toMatchObject({
      code: "invalid_request",
      message: "Idempotency-Key: must be 1 to 255 visible ASCII characters",
    });
  });
});

describe("a fingerprint", () => {
  it("is of the events alone, in 16 bytes", async () => {
    const events = [{ event: "n", data: "a" }, { data: "ß" }];
    const [one, other] = [await publishKeyOf("one", events), await publishKeyOf("other", events)];
    expect(one.fingerprint).toBe(other.fingerprint);
    expect(atob(one.fingerprint)).toHaveLength(16);
  });

  it("is stored, so it stays the same in every version", async () => {
    expect(await fingerprintOf({ event: "n", data: "a" }, { data: "ß" })).toBe(
      "/ia48MrvqPoqtL4pZfo72g==",
    );
  });

  it("differs with each part of the events, and with where one ends and the next begins", async () => {
    const prints = await Promise.all([
      fingerprintOf({ data: "a" }),
      fingerprintOf({ data: "b" }),
      fingerprintOf({ data: "" }),
      fingerprintOf({ event: "a", data: "a" }),
      fingerprintOf({ event: "null", data: "a" }),
      fingerprintOf({ data: "a" }, { data: "a" }),
      fingerprintOf({ data: "aa" }),
      fingerprintOf({ data: 'a"],[null,"a' }),
      fingerprintOf({ data: "a" }, { data: "b" }),
      fingerprintOf({ data: "b" }, { data: "a" }),
    ]);
    expect(new Set(prints).size).toBe(prints.length);
  });
});
