import fc from "fast-check";
import { CompactSign, SignJWT } from "jose";
import { expect, it } from "vitest";
import { Tickets } from "../../../src/auth/ticket.ts";
import type { SessionId } from "../../../src/core/id.ts";

const SESSION = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01" as SessionId;
const OTHER = "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a02" as SessionId;
const OLD = "o".repeat(32);
const NEW = "n".repeat(32);
const EXPIRES = 1_700_000_000_123;
const claims = { session: SESSION, subject: "alice", expiresAt: EXPIRES };
const key = new TextEncoder().encode(NEW);
const payload = new TextEncoder().encode(JSON.stringify(claims));

it("opens its session until the very millisecond at which its time is up", async () => {
  const tickets = new Tickets([NEW]);
  const ticket = await tickets.sign(claims);
  expect(await tickets.verify(ticket, SESSION, EXPIRES - 1)).toEqual(claims);
  expect(await tickets.verify(ticket, SESSION, EXPIRES)).toBeUndefined();
  expect(await tickets.verify(ticket, OTHER, 0)).toBeUndefined();
});

it("holds no subject where the session has none, and any that it may have", async () => {
  const tickets = new Tickets([NEW]);
  for (const subject of [undefined, "é\u0000\u2028", "\u{1f980}".repeat(512)]) {
    const ticket = await tickets.sign({ ...claims, subject });
    expect(await tickets.verify(ticket, SESSION, 0)).toEqual({ ...claims, subject });
  }
});

it("is signed by the first secret, and known by all of them", async () => {
  const ticket = await new Tickets([OLD]).sign(claims);
  expect(await new Tickets([NEW, OLD]).verify(ticket, SESSION, 0)).toEqual(claims);
  expect(await new Tickets([NEW]).verify(ticket, SESSION, 0)).toBeUndefined();
  const rotated = await new Tickets([NEW, OLD]).sign(claims);
  expect(await new Tickets([NEW]).verify(rotated, SESSION, 0)).toEqual(claims);
});

it.each([
  ["of another type", () => sign({ alg: "HS256", typ: "JWT" })],
  ["of no type", () => sign({ alg: "HS256" })],
  ["by another algorithm", () => sign({ alg: "HS512", typ: "holdfast-ticket" })],
  ["of a JWT", () => new SignJWT({}).setProtectedHeader({ alg: "HS256" }).sign(key)],
  [
    "of nobody",
    async () =>
      `${btoa('{"alg":"none","typ":"holdfast-ticket"}')}.${btoa(JSON.stringify(claims))}.`,
  ],
])("a signature with the same secret %s is no ticket", async (_what, made) => {
  const forged = await made();
  expect(await new Tickets([NEW]).verify(forged, SESSION, 0)).toBeUndefined();
});

function sign(header: { alg: string; typ?: string }) {
  return new CompactSign(payload).setProtectedHeader(header).sign(key);
}

it("refuses any text that it has not signed, and none with a failure", async () => {
  const tickets = new Tickets([NEW, OLD]);
  const [header = "", body = "", signature = ""] = (await tickets.sign(claims)).split(".");
  const piece = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.base64String(),
    fc.constantFrom(header, body, signature, "", "e30", "bnVsbA"),
  );
  const text = fc.array(piece, { maxLength: 4 }).map((pieces) => pieces.join("."));
  await fc.assert(
    fc.asyncProperty(text, async (made) => {
      fc.pre(made !== `${header}.${body}.${signature}`);
      expect(await tickets.verify(made, SESSION, 0)).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});

it("refuses a ticket over its bound unread, even one that it signed", async () => {
  const tickets = new Tickets([NEW]);
  const long = await tickets.sign({ ...claims, subject: "x".repeat(8192) });
  expect(await tickets.verify(long, SESSION, 0)).toBeUndefined();
});
