import { expect, it } from "vitest";
import { mediaTypeOf, readJson } from "../../../src/http/body.ts";
import { HeldBytes } from "../../../src/http/held-bytes.ts";

it.each([
  ["application/json", "application/json"],
  ["Application/JSON; charset=utf-8", "application/json"],
  [" application/json ;charset=utf-8", "application/json"],
  ["application/json-rpc", "application/json-rpc"],
  ["", ""],
  [null, ""],
])("the media type of %s is %s", (header, type) => {
  expect(mediaTypeOf(header)).toBe(type);
});

const read = (body: string | Uint8Array<ArrayBuffer>, type: string | undefined, optional = false) =>
  readJson(
    new Request("http://localhost/", {
      method: "POST",
      body: body.length > 0 ? body : null,
      headers: type === undefined ? {} : { "content-type": type },
    }),
    { maxBytes: 1000, name: "BODY_MAX_BYTES" },
    new HeldBytes().hold(),
    optional,
  );

it.each([
  ["{}", "application/json", {}],
  ["[1]", "application/json; charset=utf-8", [1]],
  ["[1]", "application/json;charset", [1]],
  ['"a"', "application/vnd.api2+json", "a"],
  ["[1]", "application/json, application/json", [1]],
  ["\ufeffnull", "application/json", null],
])("%s as %s is read", async (body, type, value) => {
  expect(await read(body, type)).toEqual(value);
});

it.each([
  ["", "application/json", "invalid_request", "A body is needed."],
  ["{", "application/json", "invalid_request", "The body is not valid JSON."],
  [" ", "application/json", "invalid_request", "The body is not valid JSON."],
  [Uint8Array.of(0x22, 0xff, 0x22), "application/json", "invalid_request", "not valid UTF-8"],
  ["[".repeat(65) + "]".repeat(65), "application/json", "invalid_request", "nested deeper"],
  ["{}", undefined, "unsupported_media_type", "must be application/json"],
  ["{}", "text/plain", "unsupported_media_type", "must be application/json"],
  ["{}", "application/json, text/plain", "unsupported_media_type", "must be application/json"],
  ["{}", "application/jsonx", "unsupported_media_type", "must be application/json"],
  ["x".repeat(1001), "application/json", "payload_too_large", "over BODY_MAX_BYTES (1000)"],
])("%s as %s is refused with %s", async (body, type, code, detail) => {
  await expect(read(body, type)).rejects.toMatchObject({
    code,
    message: expect.stringContaining(detail) as string,
  });
});

it("no body is {} where it is optional, of whatever type it says to be", async () => {
  expect(await read("", undefined, true)).toEqual({});
  expect(await read("", "text/plain", true)).toEqual({});
});
