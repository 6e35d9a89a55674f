/** Tests how the service names a caller, and what it allows the caller. */
import { expect, it } from "vitest";
import { callerOf, identityOf, NOBODY, grants } from "../../../src/auth/identity.ts";
import { mayName, owns } from "../../../src/core/caller.ts";

it("names a caller by subject and rank alone, and by no member that is undefined", () => {
  expect(callerOf(identityOf("alice", ["mcp"]))).toStrictEqual({ subject: "alice", admin: false });
  expect(callerOf(NOBODY)).toStrictEqual({ admin: false });
});

it("knows scopes that mean something here, and no others", () => {
  expect(identityOf("alice", ["mcp", "root", ""])).toEqual({
    subject: "alice",
    admin: false,
    scopes: new Set(["mcp"]),
  });
  expect(identityOf("root", ["admin"]).admin).toBe(true);
  expect(grants(identityOf("root", ["admin"]).scopes, "events:publish")).toBe(true);
  expect(grants(NOBODY.scopes, "mcp")).toBe(false);
});

it.each([
  ["alice", false, "alice", true],
  ["alice", false, "bob", false],
  ["alice", false, undefined, false],
  [undefined, false, "alice", false],
  [undefined, false, undefined, true],
  ["root", true, "alice", true],
  [undefined, true, undefined, true],
])("%s (admin: %s) owns what is of %s: %s", (subject, admin, owner, expected) => {
  expect(owns({ subject, admin }, owner)).toBe(expected);
});

it("lets an admin name anyone, and others themselves or nobody", () => {
  expect(mayName({ subject: "alice", admin: false }, "bob")).toBe(false);
  expect(mayName({ subject: "alice", admin: false }, "alice")).toBe(true);
  expect(mayName({ subject: "alice", admin: false }, undefined)).toBe(true);
  expect(mayName({ subject: "root", admin: true }, "bob")).toBe(true);
});
