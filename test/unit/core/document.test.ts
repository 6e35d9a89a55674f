import { describe, expect, it } from "vitest";
import {
  contentOfTag,
  documentOf,
  packDocument,
  stateOfTag,
  unpackDocument,
} from "../../../src/core/document.ts";
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
  overflow: "refuse",
  ended: false,
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
      overflow: "refuse",
      ended: false,
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

  it("has a tag that changes with everything that it holds, and says what has changed", () => {
    const lastEventId = "0mwsb9seoysobdq-000000000007-0";
    const tag = (change: Partial<SessionView>, caller = ADMIN) =>
      documentOf({ ...VIEW, ...change }, caller).tag;
    const tags = [
      tag({}),
      tag({}, { admin: false }),
      tag({ version: "epoch.2" }),
      tag({ writers: 2 }),
      tag({ lastEventId }),
      tag({ expiresAt: VIEW.expiresAt + 1 }),
    ];
    expect(new Set(tags).size).toBe(tags.length);
    expect(tags.map(contentOfTag)).toEqual(
      tags.map((_, n) => (n === 2 ? "epoch.2" : VIEW.version)),
    );
    expect(new Set(tags.map(stateOfTag)).size).toBe(tags.length - 1);
    expect(stateOfTag(tags[5]!)).toBe(stateOfTag(tags[0]!));
  });

  it("has one tag for all callers to whom it is the same", () => {
    const open = { ...VIEW, metadata: { color: "red" } };
    expect(documentOf(open, ADMIN)).toEqual(documentOf(open, { admin: false }));
  });

  it("comes out of its packing as it went in, whatever it holds", () => {
    const document = documentOf({ ...VIEW, dataJson: '"a\\nb"', metadata: { "\n": "\n" } }, ADMIN);
    expect(unpackDocument(packDocument(document))).toEqual(document);
  });
});
