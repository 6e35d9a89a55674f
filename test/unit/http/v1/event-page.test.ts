import { describe, expect, it } from "vitest";
import type { EventPage, PageQuery, Sessions } from "../../../../src/core/host.ts";
import { requireSessionId } from "../../../../src/core/id.ts";
import { prefersJson, readPage } from "../../../../src/http/v1/event-page.ts";

describe("a client gets JSON", () => {
  it.each([
    "application/json",
    "application/json, */*",
    "Application/JSON; charset=utf-8",
    "text/plain, application/json;q=0.1",
    "application/json, text/event-stream;q=0.9",
    "text/event-stream;q=0, application/json;q=0.5",
  ])("that accepts %s", (accept) => expect(prefersJson(accept)).toBe(true));
});

describe("a client gets the stream", () => {
  it.each([
    undefined,
    "",
    "*/*",
    "application/*",
    "text/event-stream",
    "application/json, text/event-stream",
    "text/event-stream, application/json;q=0.5",
    "application/json;q=0",
    "application/jsonl",
  ])("that accepts %s", (accept) => expect(prefersJson(accept)).toBe(false));
});

describe("a page that would be empty", () => {
  const ID = requireSessionId("8c2d0cf4-7a2b-4b73-a7f5-4e3c0b6c1a01");
  const EMPTY: EventPage = { events: [], lastEventId: "place", ended: false };
  const FULL: EventPage = { ...EMPTY, events: [{ id: "a", data: "a" }] };

  function sessionsWith(...pages: readonly EventPage[]) {
    const asked: unknown[] = [];
    const left = [...pages];
    const sessions = {
      readEvents: async (_id: string, query: PageQuery) => {
        asked.push(query);
        return left.shift();
      },
      awaitEvents: async (_id: string, after: string, ms: number) => void asked.push([after, ms]),
    } as unknown as Sessions;
    return { sessions, asked };
  }

  it("waits after its place, then reads once more", async () => {
    const { sessions, asked } = sessionsWith(EMPTY, FULL);
    expect(await readPage(sessions, ID, { limit: 1 }, 500)).toBe(FULL);
    expect(asked).toEqual([{ limit: 1 }, ["place", 500], { limit: 1 }]);
  });

  it.each([
    ["there is an event", FULL, 500],
    ["the stream is complete", { ...EMPTY, ended: true }, 500],
    ["its place is gone", { ...EMPTY, gap: { requested: "x", earliest: null } }, 500],
    ["the client does not wait", EMPTY, 0],
  ])("is answered at once where %s", async (_where, page, waitMs) => {
    const { sessions, asked } = sessionsWith(page);
    expect(await readPage(sessions, ID, { limit: 1 }, waitMs)).toBe(page);
    expect(asked).toHaveLength(1);
  });
});
