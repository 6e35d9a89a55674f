import { describe, expect, it } from "vitest";
import {
  decodeMetadata,
  decodeRecord,
  decodeSession,
  encodeMetadata,
  encodeRecord,
  encodeSession,
} from "../../../../src/library/model/codec.ts";
import { CorruptRecordError } from "../../../../src/core/errors.ts";
import {
  ProxySession,
  type Session,
  StreamableSession,
} from "../../../../src/library/model/session.ts";
import { SSESession } from "../../../../src/library/model/sse-session.ts";
import { BROKEN_RECORDS, FOREIGN_RECORDS, GOLDEN_RECORDS } from "../../../fixtures/go-records.ts";

const ID = "2f1c0a3e-6d0e-4c58-9a47-0d1b5f0c7a11";
const clock = { now: () => Date.parse("2026-11-22T10:00:00.120Z") };

describe("records that Go wrote come out of a read and a write with the same bytes", () => {
  it.each(GOLDEN_RECORDS)("$rule", ({ json }) => {
    expect(encodeSession(decodeSession(json))).toBe(json);
  });
});

describe("records that Go reads are written as Go would write them", () => {
  it.each(FOREIGN_RECORDS)("$rule", ({ json, written }) => {
    expect(encodeSession(decodeSession(json))).toBe(written);
    expect(encodeSession(decodeSession(written))).toBe(written);
  });
});

describe("a record that cannot be read is an error that names it", () => {
  it.each(BROKEN_RECORDS)("$rule", ({ json, says }) => {
    const read = () => decodeSession(json, `session ${ID}`);
    expect(read).toThrow(CorruptRecordError);
    expect(read).toThrow(says);
    expect(read).toThrow(`session ${ID}`);
  });

  it("is never absence: its status is 503", () => {
    expect(() => decodeSession("{")).toThrow(
      expect.objectContaining({ code: "unavailable", status: 503 }),
    );
  });

  it("quotes no content, which may be secret", () => {
    let message = "";
    try {
      decodeSession('{"metadata":{"token":"hunter2"');
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain("not valid JSON");
    expect(message).not.toContain("hunter2");
  });
});

describe("a session that was made here", () => {
  it("is written with its times trimmed, and without what it has none of", () => {
    expect(encodeSession(new ProxySession(ID, "mcp", { clock }))).toBe(
      `{"id":"${ID}","type":"mcp","created_at":"2026-11-22T10:00:00.12Z","updated_at":"2026-11-22T10:00:00.12Z"}`,
    );
  });

  it("writes null data, which is not none", () => {
    const session = new ProxySession(ID, "mcp", { clock });
    session.setData(null);
    expect(encodeSession(session)).toContain('"data":null');
    session.setData(undefined);
    expect(encodeSession(session)).not.toContain("data");
  });

  it("refuses data that has no JSON", () => {
    const session = new ProxySession(ID);
    session.setData(() => 1);
    expect(() => encodeSession(session)).toThrow(TypeError);
  });
});

describe("a session of a user's own class", () => {
  const own = (members: Partial<Session>): Session => ({
    id: ID,
    type: "mcp",
    createdAt: new Date(0),
    updatedAt: new Date(0),
    touch: () => {},
    getData: () => undefined,
    setData: () => {},
    getMetadata: () => ({}),
    getMetadataValue: () => undefined,
    setMetadata: () => {},
    ...members,
  });

  it("is written with times that are read again, canonically", () => {
    const json = encodeSession(own({ createdAtText: "2026-08-21T10:26:05.120+00:00" }));
    expect(json).toBe(
      `{"id":"${ID}","type":"mcp","created_at":"2026-08-21T10:26:05.12Z","updated_at":"1970-01-01T00:00:00Z"}`,
    );
  });

  it.each([
    ["a time that is none", { createdAtText: '","x":"' }, /RFC 3339/],
    ["a time that no calendar has", { updatedAtText: "2026-02-30T00:00:00Z" }, /RFC 3339/],
    ["data that is not JSON", { getDataJson: () => '1,"x":2' }, /must be JSON/],
  ] satisfies [string, Partial<Session>, RegExp][])(
    "is refused with %s, before it is a record that nobody can read",
    (_name, members, says) => {
      expect(() => encodeSession(own(members))).toThrow(TypeError);
      expect(() => encodeSession(own(members))).toThrow(says);
    },
  );

  it("of a record made by hand escapes its times too", () => {
    const record = { ...decodeRecord(`{"id":"${ID}"}`), createdAt: { ms: 0, text: '"' } };
    expect(JSON.parse(encodeRecord(record))).toMatchObject({ created_at: '"' });
  });
});

describe("a session that was read", () => {
  const read = (type: string) => decodeSession(`{"id":"${ID}","type":"${type}"}`);

  it("has the class of its type", () => {
    expect(read("sse")).toBeInstanceOf(SSESession);
    expect(read("streamable")).toBeInstanceOf(StreamableSession);
    expect(read("mcp")).toBeInstanceOf(ProxySession);
  });

  it("of an unknown type is a plain session that keeps its type", () => {
    const session = read("quantum");
    expect(session).toBeInstanceOf(ProxySession);
    expect(session.type).toBe("quantum");
  });

  it("never has metadata that is null", () => {
    expect(decodeSession(`{"id":"${ID}","metadata":null}`).getMetadata()).toEqual({});
  });

  it("gives its data as JSON, and its text without loss", () => {
    const session = decodeSession(`{"id":"${ID}","type":"mcp","data":{"n":9007199254740993}}`);
    expect(session.getData()).toEqual({ n: Number("9007199254740993") });
    expect(session.getDataJson?.()).toBe('{"n":9007199254740993}');
  });

  it("changes updated_at alone when touched, and keeps the digits of created_at", () => {
    const json = `{"id":"${ID}","type":"mcp","created_at":"2026-08-21T10:26:05.123456789Z","updated_at":"2026-08-21T10:26:05.123456789Z","data":{"z":1.0}}`;
    const session = decodeSession(json, "session", { clock });
    session.touch();
    expect(encodeSession(session)).toBe(
      json.replace(/"updated_at":"[^"]*"/, '"updated_at":"2026-11-22T10:00:00.12Z"'),
    );
  });
});

describe("a metadata map", () => {
  it.each([
    "{}",
    String.raw`{"vmcp.backend.ids":"a,b","vmcp.backend.session.a":"s1","vmcp.identity.binding":"https://idp.example\u0000alice"}`,
    '{"10":"a","2":"b"}',
  ])("has the same bytes after a read and a write: %s", (json) => {
    expect(encodeMetadata(decodeMetadata(json))).toBe(json);
  });

  it("that is null is empty, and a null value is an empty string", () => {
    expect(decodeMetadata("null")).toEqual({});
    expect(decodeMetadata('{"terminated":null}')).toEqual({ terminated: "" });
  });

  it("has each key once, and in order, also where keys hold half a surrogate pair", () => {
    const json = encodeMetadata({ "\ud800": "1", "\uffff": "2", "\udfff": "3", "a\ud800": "4" });
    expect(json).toBe('{"a\ufffd":"4","\ufffd":"3","\uffff":"2"}');
    expect(encodeMetadata(decodeMetadata(json))).toBe(json);
  });

  it.each(["[]", '"x"', '{"k":1}', "{", ""])("is an error where it is not one: %s", (json) => {
    expect(() => decodeMetadata(json, `session ${ID}`)).toThrow(CorruptRecordError);
    expect(() => decodeMetadata(json, `session ${ID}`)).toThrow(ID);
  });
});
