/** The address that a request comes from. The forms are those of plain workerd and `wrangler dev`, as measured in November 2026. */
import { expect, it } from "vitest";
import { clientAddress, isFromThisMachine } from "../../../src/auth/peer.ts";

function requestFrom(clientIp: unknown, headers: Record<string, string> = {}): Request {
  const request = new Request("http://localhost/", { headers });
  return Object.defineProperty(request, "cf", {
    value: clientIp === undefined ? {} : { clientIp },
  });
}

it.each([
  ["127.0.0.1:36982", {}],
  ["[::ffff:127.0.0.1]:36982", {}],
  ["[::1]:36982", {}],
  ["127.8.9.1:1", {}],
  [undefined, { "cf-connecting-ip": "127.0.0.1" }],
  [undefined, { "cf-connecting-ip": "::ffff:127.0.0.1" }],
  [undefined, { "cf-connecting-ip": "::1" }],
  ["127.0.0.1:1", { "x-forwarded-for": "127.0.0.1, ::1" }],
])("%s with %j is this machine", (clientIp, headers) => {
  expect(isFromThisMachine(requestFrom(clientIp, headers))).toBe(true);
});

it.each([
  [undefined, {}],
  [undefined, { "x-forwarded-for": "127.0.0.1" }],
  [42, {}],
  ["", {}],
  ["[::ffff:192.0.2.2]:58820", {}],
  ["192.0.2.2:1", { "cf-connecting-ip": "127.0.0.1" }],
  ["192.0.2.2:1", { "x-real-ip": "127.0.0.1", "x-forwarded-for": "127.0.0.1" }],
  [undefined, { "cf-connecting-ip": "192.0.2.2" }],
  [undefined, { "cf-connecting-ip": "localhost" }],
  [undefined, { "cf-connecting-ip": "127.0.0.1@evil.example" }],
  ["127.0.0.1:1", { "cf-connecting-ip": "192.0.2.2" }],
  ["127.0.0.1:1", { "x-forwarded-for": "192.0.2.2" }],
  ["127.0.0.1:1", { "x-forwarded-for": "127.0.0.1, 192.0.2.2" }],
  ["127.0.0.1:1", { "x-forwarded-for": "" }],
  ["127.0.0.1:1", { "x-real-ip": "192.0.2.2" }],
  ["127.0.0.1:1", { forwarded: "for=127.0.0.1" }],
])("%s with %j may be another", (clientIp, headers) => {
  expect(isFromThisMachine(requestFrom(clientIp, headers))).toBe(false);
});

it("the socket's address wins over the header, which its client may write on plain workerd", () => {
  const headers = { "cf-connecting-ip": "198.51.100.1" };
  expect(clientAddress(requestFrom("192.0.2.2:1", headers))).toBe("192.0.2.2");
  expect(clientAddress(requestFrom(undefined, headers))).toBe("198.51.100.1");
  expect(clientAddress(requestFrom(undefined))).toBeUndefined();
});
