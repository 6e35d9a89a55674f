import { createParser } from "eventsource-parser";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeFrame, isSafeFieldValue } from "../../../src/wire/sse-frame.ts";

describe("encodeFrame", () => {
  it.each([
    [{ data: "a" }, "data: a\n\n"],
    [{ data: "" }, "data: \n\n"],
    [{ data: "a\nb\r\nc\rd" }, "data: a\ndata: b\ndata: c\ndata: d\n\n"],
    [{ data: "a\n\n" }, "data: a\ndata: \ndata: \n\n"],
    [{ data: " leading" }, "data:  leading\n\n"],
    [{ id: "1", event: "e", data: "x\ny" }, "event: e\ndata: x\ndata: y\nid: 1\n\n"],
    [{ retry: 1000, id: "1", data: "" }, "retry: 1000\ndata: \nid: 1\n\n"],
    [{ retry: 1000 }, "retry: 1000\n\n"],
    [{ id: "1" }, "id: 1\n\n"],
  ])("%j", (frame, text) => expect(encodeFrame(frame)).toBe(text));

  it.each(["a\nb", "a\rb", "a\0b"])("refuses %j as an id or an event", (value) => {
    expect(isSafeFieldValue(value)).toBe(false);
    expect(() => encodeFrame({ id: value, data: "" })).toThrow(RangeError);
    expect(() => encodeFrame({ event: value, data: "" })).toThrow(RangeError);
  });

  it("is read back by a client as what was sent, line breaks as LF", () => {
    const safe = fc.string({ minLength: 1 }).filter(isSafeFieldValue);
    fc.assert(
      fc.property(safe, fc.string({ minLength: 1, unit: "binary" }), (event, data) => {
        const seen: unknown[] = [];
        const parser = createParser({ onEvent: (e) => seen.push([e.event, e.data]) });
        parser.feed(encodeFrame({ event, data }));
        const lines = data.replaceAll(/\r\n|\r/g, "\n");
        expect(seen).toEqual([[event, lines]]);
      }),
    );
  });
});
