import { expect, it } from "vitest";
import {
  equalInConstantTime,
  fromBase64Url,
  fromHex,
  sha256,
  toBase64Url,
  toHex,
} from "../../../src/auth/bytes.ts";

it("compares bytes", () => {
  const bytes = (...values: number[]) => Uint8Array.from(values);
  expect(equalInConstantTime(bytes(1, 2, 3), bytes(1, 2, 3))).toBe(true);
  expect(equalInConstantTime(bytes(1, 2, 3), bytes(1, 2, 4))).toBe(false);
  expect(equalInConstantTime(bytes(0, 2, 3), bytes(1, 2, 3))).toBe(false);
  expect(equalInConstantTime(bytes(1, 2), bytes(1, 2, 3))).toBe(false);
  expect(equalInConstantTime(bytes(), bytes())).toBe(true);
});

it("reads back what it wrote", () => {
  for (let length = 0; length < 70; length++) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    expect(fromBase64Url(toBase64Url(bytes))).toEqual(bytes);
    expect(fromHex(toHex(bytes))).toEqual(bytes);
  }
});

it.each(["a", "a b", "a=", "é", "+/"])("%s is not base64url", (text) => {
  expect(fromBase64Url(text)).toBeUndefined();
});

it("knows SHA-256", async () => {
  expect(toHex(await sha256("abc"))).toBe(
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
  );
});
