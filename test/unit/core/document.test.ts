import { describe, expect, it } from "vitest";
import { documentOf, packDocument, unpackDocument } from "../../../src/core/document.ts";
import type { SessionView } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";

const VIEW: SessionView = {
  id: "8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01" as SessionId,
  type: "sse",
  createdAt: 0,
  updatedAt: 1,
  expiresAt: 7_200_000,
  ttlMs: 7_200_000,
  maxLifetimeMs: 0,
  metadata: { backend_url: "http://10.0.0.5/", color: "red" },
  writers: 1,
  version: "epoch.1",
};
const ADMIN = { admin: true };
const parsed = (view: SessionView, caller = ADMIN) =>
  JSON.parse(documentOf(view, caller).json) as Record<string, unknown>;

describe("a session's document", () => {
  it("holds what the view says, in the contract's words", () => {
    expect(parsed(VIEW)).toEqual({
      id: VIEW.id,
      type: "sse",
      createdAt: "1970-01-01T00:00:00.000Z",
      updatedAt: "1970-01-01T00:00:00.001Z",
      expiresAt: "1970-01-01T02:00:00.000Z",
      ttlSeconds: 7200,
      metadata: VIEW.metadata,
      connected: true,
      writers: 1,
    });
  });

  it.each(["null", "0", '"text"', "[1,2]", '{"a":{"b":"}"}}', '"line\\nbreak"'])(
    "holds the data as they are: %s",
    (dataJson) => {
      expect(parsed({ ...VIEW, dataJson })).toEqual({
        ...parsed(VIEW),
        data: JSON.parse(dataJson) as unknown,
      });
    },
  );

  it("shows an admin alone where the upstream is", () => {
    expect(parsed(VIEW, { admin: false })["metadata"]).toEqual({ color: "red" });
  });

  it("comes out of its packing as it went in, whatever it holds", () => {
    const document = documentOf({ ...VIEW, dataJson: '"a\\nb"', metadata: { "\n": "\n" } }, ADMIN);
    expect(unpackDocument(packDocument(document))).toEqual(document);
  });
});
