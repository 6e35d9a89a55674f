import { createParser } from "eventsource-parser";
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

it("ends a line once with a CRLF that is cut in two, and once more with the LF behind it", () => {
  const parser = new SseParser(100);
  const chunks = ["data: a\r", "\n", "\n", "data: b\r", "", "\n\r", "\n"];
  const events = chunks.flatMap((chunk) => [...parser.push(bytes(chunk))]);
  expect(events.map(({ data }) => data)).toEqual(["a", "b"]);
});

/** The event's data and name, as another implementation has them; it gives an id only to the event that sets one. */
function asParsedElsewhere(text: string): { event: string; data: string }[] {
  const events: { event: string; data: string }[] = [];
  const parser = createParser({
    onEvent: ({ event = "message", data }) => events.push({ event, data }),
  });
  parser.feed(text);
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
      expect(seen).toEqual(asParsedElsewhere(text));
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
