import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { apiTokenReader, newApiToken } from "../../../src/auth/api-tokens.ts";

it("makes a token of 256 random bits, and an entry that holds its SHA-256 and no more of it", async () => {
  const { token, entry } = await newApiToken("alice", ["mcp"]);
  expect(token).toMatch(/^hf_[\w-]{43}$/);
  expect(entry).toEqual({
    sha256: createHash("sha256").update(token).digest("hex"),
    subject: "alice",
    scopes: ["mcp"],
  });
  expect((await newApiToken("alice", ["mcp"])).token).not.toBe(token);
});

it("knows each token that is listed, whatever the case of its digits, and no other", async () => {
  const made = await Promise.all(["alice", "bob"].map((subject) => newApiToken(subject, ["mcp"])));
  const read = apiTokenReader(
    made.map(({ entry }) => ({ ...entry, sha256: entry.sha256.toUpperCase() })),
  );
  for (const [index, { token, entry }] of made.entries()) {
    expect((await read(token))?.subject).toBe(["alice", "bob"][index]);
    for (const wrong of ["", "hf_", `${token}A`, token.slice(0, -1), entry.sha256, `h${token}`]) {
      expect(await read(wrong)).toBeUndefined();
    }
  }
  expect(await apiTokenReader([])(made[0]!.token)).toBeUndefined();
});
