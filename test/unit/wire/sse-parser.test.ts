import fc from "fast-check";
import { expect, it } from "vitest";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";
import { SseEventTooLargeError, SseParser } from "../../../src/wire/sse-parser.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const parse = (text: string, max = 1000) => [...new SseParser(max).push(bytes(text))];

it.each([
  ["data: a\n\n", [{ id: undefined, event: "message", data: "a" }]],
  ["event: x\nid: 1\ndata:a\ndata: b\n\n", [{ id: "1", event: "x", data: "a\nb" }]],
  [
    "data: a\r\n\r\ndata: b\r\rdata: c\n\n",
    ["a", "b", "c"].map((data) => ({ id: undefined, event: "message", data })),
  ],
  ["id: 1\n\ndata: a\n\n", [{ id: "1", event: "message", data: "a" }]],
  ["id: 1\ndata: \n\n", [{ id: "1", event: "message", data: "" }]],
  [": comment\n\n", []],
  ["data: unfinished", []],
  ["id: a\0b\ndata: x\n\n", [{ id: undefined, event: "message", data: "x" }]],
])("%j", (text, events) => {
  expect(parse(text)).toEqual(events);
});

it("keeps retry and the last id, also of an event without data", () => {
  const parser = new SseParser(100);
  expect([...parser.push(bytes("retry: 50\nid: 7\n\nretry: soon\n\n"))]).toEqual([]);
  expect([parser.retryMs, parser.lastEventId]).toEqual([50, "7"]);
});

it("refuses an event over the bound, finished or not", () => {
  expect(() => parse(`data: ${"x".repeat(200)}\n\n`, 100)).toThrow(SseEventTooLargeError);
  expect(() => parse("x".repeat(200), 100)).toThrow(SseEventTooLargeError);
  expect(() => parse("data: aaaa\n".repeat(50), 100)).toThrow(SseEventTooLargeError);
  // Bytes count, not characters.
  expect(() => parse(`data: ${"漢".repeat(40)}\n\n`, 100)).toThrow(SseEventTooLargeError);
});

it("takes the id of an event that was cut for no place to go on from", () => {
  const parser = new SseParser(100);
  expect([...parser.push(bytes("id: 1\ndata: a\n\nid: 2\ndata: hal"))]).toHaveLength(1);
  expect(parser.lastEventId).toBe("1");
});

it("does not finish on one connection what was begun on another", () => {
  const parser = new SseParser(100);
  const begun = new Uint8Array([...bytes("id: 2\nevent: x\ndata: a\ndata: hal"), 0xe2, 0x82]);
  expect([...parser.push(begun)]).toEqual([]);
  parser.restart();
  const [event] = parser.push(bytes("data: whole\n\n"));
  expect(event).toEqual({ id: undefined, event: "message", data: "whole" });
});

it("gives what came before an event over the bound, and goes on behind it", () => {
  const parser = new SseParser(100);
  const events = parser.push(bytes(`id: 1\ndata: a\n\nid: 2\ndata: ${"x".repeat(200)}\n\n`));
  expect(events.next().value).toEqual({ id: "1", event: "message", data: "a" });
  expect(() => events.next()).toThrow(SseEventTooLargeError);
  expect(parser.lastEventId).toBe("2");
  parser.restart();
  expect([...parser.push(bytes("data: b\n\n"))]).toMatchObject([{ id: "2", data: "b" }]);
});

/** Reads a text in chunks of `size` bytes: its events, and whether one was over the bound. */
function readInChunks(parser: SseParser, text: string, size: number) {
  const whole = bytes(text);
  const data: string[] = [];
  try {
    for (let at = 0; at < whole.length; at += size) {
      for (const event of parser.push(whole.subarray(at, at + size))) data.push(event.data);
    }
    return { data, tooLarge: false };
  } catch (failure) {
    expect(failure).toBeInstanceOf(SseEventTooLargeError);
    expect(String(failure)).toContain("over 100 bytes");
    return { data, tooLarge: true };
  }
}

it.each([1, 2, 7, 64, 10_000])("bounds an event to the byte, in chunks of %d", (size) => {
  for (const [text, tooLarge] of [
    [`data: ${"x".repeat(100)}`, false],
    [`data: ${"x".repeat(101)}`, true],
    [`data: ${"漢".repeat(33)}x`, false],
    [`data: ${"漢".repeat(34)}`, true],
    ["data: aaaa\r\n".repeat(20).slice(0, -2), false],
    ["data: aaaa\r\n".repeat(21).slice(0, -2), true],
    [`event: x\r: ${"c".repeat(80)}\rdata: ${"x".repeat(90)}`, false],
  ] as const) {
    const read = readInChunks(new SseParser(100), `${text}\n\n`, size);
    expect([text, read.tooLarge, read.data.length]).toEqual([text, tooLarge, tooLarge ? 0 : 1]);
  }
});

it.each([1, 3, 50])("goes on behind an event over the bound that never ended (%d)", (size) => {
  const parser = new SseParser(100);
  const large = `data: a\n\nid: 2\nretry: 70\ndata: ${"x".repeat(90)}\ndata: ${"y".repeat(20)}`;
  expect(readInChunks(parser, large, size)).toEqual({ data: ["a"], tooLarge: true });
  expect([parser.lastEventId, parser.retryMs]).toEqual(["2", 70]);
  parser.restart();
  expect(readInChunks(parser, "data: b\n\n", size).data).toEqual(["b"]);
});

it("takes no id from behind an event over the bound, which is sent again", () => {
  const parser = new SseParser(100, "1");
  const large = `data: a\n\nid: 2\ndata: ${"x".repeat(101)}\n\nid: 3\ndata: c\n\n`;
  const events = parser.push(bytes(large));
  expect(events.next().value).toEqual({ id: "1", event: "message", data: "a" });
  expect(() => events.next()).toThrow(SseEventTooLargeError);
  expect(parser.lastEventId).toBe("2");
});

it("takes no half of an id where the bound is passed within it", () => {
  const parser = new SseParser(100);
  const large = `id: 1\ndata: ${"x".repeat(95)}\nid: ${"2".repeat(20)}`;
  expect(readInChunks(parser, large, 1000)).toEqual({ data: [], tooLarge: true });
  expect(parser.lastEventId).toBe("1");
});

it("is not filled by comments, however many and wherever they are", () => {
  const parser = new SseParser(100);
  for (let n = 0; n < 100; n++) expect([...parser.push(bytes(": still here\n"))]).toEqual([]);
  for (let n = 0; n < 100; n++) expect([...parser.push(bytes("event: ping\n\n:"))]).toEqual([]);
  const text = `\ndata: a\n${": c\n".repeat(50)}data: b\n\n`;
  expect(readInChunks(parser, text, 5)).toEqual({ data: ["a\nb"], tooLarge: false });
  const large = `data: ${"x".repeat(60)}\n${": c\n".repeat(50)}data: ${"x".repeat(60)}\n\n`;
  expect(readInChunks(parser, large, 5)).toEqual({ data: [], tooLarge: true });
});

it("stops at the id of the event that its reader stopped at", () => {
  const parser = new SseParser(100);
  for (const event of parser.push(bytes("id: 1\ndata: a\n\nid: 2\ndata: b\n\n"))) {
    expect(event.id).toBe("1");
    break;
  }
  expect(parser.lastEventId).toBe("1");
  parser.restart();
  expect([...parser.push(bytes("data: c\n\n"))]).toMatchObject([{ id: "1", data: "c" }]);
});

it("takes off one byte order mark of each connection, also one that is cut", () => {
  const parser = new SseParser(100);
  for (let connection = 0; connection < 2; connection++) {
    const [first, ...rest] = bytes("\ufeffdata: a\n\n");
    expect([...parser.push(Uint8Array.of(first!))]).toEqual([]);
    expect([...parser.push(Uint8Array.from(rest))]).toHaveLength(1);
    parser.restart();
  }
  expect(parse("\ufeff\ufeffdata: a\n\ndata: b\n\n")).toMatchObject([{ data: "b" }]);
});

it("ends a line once with a CRLF that is cut in two, and once more with the LF behind it", () => {
  const parser = new SseParser(100);
  const chunks = ["data: a\r", "\n", "\n", "data: b\r", "", "\n\r", "\n"];
  const events = chunks.flatMap((chunk) => [...parser.push(bytes(chunk))]);
  expect(events.map(({ data }) => data)).toEqual(["a", "b"]);
});

/** The events of a whole text, by the rules of WHATWG HTML (9.2.6) word for word. */
function asTheStandardSays(text: string): { event: string; data: string }[] {
  const events: { event: string; data: string }[] = [];
  let data: string[] = [];
  let event = "";
  for (const line of text.split(/\r\n|\r|\n/).slice(0, -1)) {
    const [, field, value = ""] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
    if (line === "") {
      if (data.length > 0) events.push({ event: event || "message", data: data.join("\n") });
      data = [];
      event = "";
    } else if (field === "data") data.push(value);
    else if (field === "event") event = value;
  }
  return events;
}

it("reads any lines, however they end and wherever they are cut, as they are read whole", () => {
  const line = fc.constantFrom(
    "",
    "",
    "data: a",
    "data",
    "data:漢",
    "event: x",
    "id: 1",
    ": c",
    "no",
  );
  const end = fc.constantFrom("\n", "\r", "\r\n");
  const text = fc.array(fc.tuple(line, end)).map((lines) => lines.flat().join(""));
  const size = fc.integer({ min: 1, max: 4 });
  fc.assert(
    fc.property(text, fc.array(size, { minLength: 1 }), (text, sizes) => {
      const parser = new SseParser(1_000_000);
      const whole = bytes(text);
      const events = [];
      for (let at = 0, n = 0; at < whole.length; n++) {
        // An empty chunk between any two changes nothing.
        events.push(...parser.push(new Uint8Array()));
        const size = sizes[n % sizes.length] ?? 1;
        events.push(...parser.push(whole.subarray(at, at + size)));
        at += size;
      }
      expect(events).toEqual(parse(text, 1_000_000));
      const seen = events.map(({ event, data }) => ({ event, data }));
      expect(seen).toEqual(asTheStandardSays(text));
    }),
    { numRuns: 500 },
  );
});

it("reads what the service writes, however it is cut", () => {
  const frames = fc.array(
    fc.record({ id: fc.stringMatching(/^[a-z0-9]{1,5}$/), data: fc.string() }),
  );
  fc.assert(
    fc.property(frames, fc.array(fc.nat(12), { minLength: 1 }), (wanted, cuts) => {
      const whole = bytes(wanted.map((frame) => encodeFrame(frame)).join(""));
      const parser = new SseParser(1_000_000);
      const events = [];
      for (let at = 0, n = 0; at < whole.length; n++) {
        const size = (cuts[n % cuts.length] ?? 0) + 1;
        events.push(...parser.push(whole.subarray(at, at + size)));
        at += size;
      }
      const data = wanted.map((frame) => frame.data.replaceAll(/\r\n|\r/g, "\n"));
      expect(events.map((event) => event.data)).toEqual(data);
      expect(events.map((event) => event.id)).toEqual(wanted.map(({ id }) => id));
    }),
  );
});
