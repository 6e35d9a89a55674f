/** A message that is larger than a row of the log, and a reader that is behind while the log is trimmed. */
import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { make } from "../support/call.ts";
import { objectOf } from "../support/object.ts";
import { GatewayStreams } from "../../src/gateway/object/streams.ts";
import { EventLog, sized } from "../../src/stream/event-log.ts";
import { BEHIND, CLOSE_CODES } from "../../src/stream/protocol.ts";
import { Subscribers } from "../../src/stream/subscribers.ts";

const MIB = 1 << 20;
const LIMITS = { logMaxEvents: 1000, logMaxBytes: 3 * MIB, streamBufferBytes: MIB };
const EPOCH = "00000000";
const STREAM = 2;
const TABLE = "SELECT 1 FROM sqlite_master WHERE name = 'message_parts'";

/** Runs in the object of a session that was made for this. */
const inObject = async <T>(run: (ctx: DurableObjectState) => T | Promise<T>): Promise<T> => {
  const { id } = await make();
  return runInDurableObject(objectOf(id), (_object, ctx) => run(ctx));
};
const openLog = (ctx: DurableObjectState) => new EventLog(ctx.storage, "messages", LIMITS, EPOCH);
const append = (log: EventLog, ...messages: string[]) =>
  log.append(
    STREAM,
    messages.map((data) => sized({ data })),
  );
/** The messages after a place, page by page. */
function read(log: EventLog, from = 0): string[] {
  const page = log.page(STREAM, from);
  const messages = page.frames.map((frame) => {
    const text = new TextDecoder().decode(frame);
    expect(text).toContain("event: message\n");
    return /^data: (.*)$/m.exec(text)?.[1] ?? "";
  });
  return page.complete ? messages : [...messages, ...read(log, page.through)];
}

it.each([
  ["Latin-1", "a".repeat(2.5 * MIB)],
  ["three bytes a character", "漢".repeat(0.9 * MIB)],
  ["surrogate pairs, one of them at every cut", `a${"😀".repeat(0.7 * MIB)}`],
])("is replayed to the letter after a restart: %s", async (_what, large) => {
  const [before, after] = await inObject((ctx) => {
    append(openLog(ctx), "1", large);
    return [read(openLog(ctx)), read(openLog(ctx), 1)];
  });
  expect(before.map((message) => message.length)).toEqual([1, large.length]);
  expect(after[0] === large).toBe(true);
});

it("counts whole after a restart, and goes with its row", async () => {
  const { kept, parts } = await inObject((ctx) => {
    append(openLog(ctx), "a".repeat(2 * MIB), "2");
    const log = openLog(ctx);
    append(log, "c".repeat(1.5 * MIB));
    const rows = ctx.storage.sql.exec<{ seq: number }>("SELECT DISTINCT seq FROM message_parts");
    return { kept: read(log).map(({ length }) => length), parts: rows.toArray() };
  });
  expect(kept).toEqual([1, 1.5 * MIB]);
  expect(parts).toEqual([{ seq: 3 }]);
});

it("a log of small messages has no table for parts, and one that failed leaves no part", async () => {
  const tables = await inObject((ctx) => {
    const log = openLog(ctx);
    append(log, "1");
    expect(() =>
      ctx.storage.transactionSync(() => {
        append(log, "b".repeat(2 * MIB));
        throw new Error("rolled back");
      }),
    ).toThrow("rolled back");
    return ctx.storage.sql.exec(TABLE).toArray().length;
  });
  expect(tables).toBe(0);
});

it.each([
  ["in parts", 2 * MIB],
  ["larger than a page alone", MIB / 2],
])("a live reader is sent one as a page, and the next one waits: %s", async (_what, size) => {
  const words = await inObject(async (ctx) => {
    const { say, streams, server, received } = follow(ctx);
    say("d".repeat(size));
    say("after");
    await received.at(2);
    streams.sendPage(server);
    await received.at(3);
    return Promise.all([1, 2, 3].map((n) => received.at(n)));
  });
  expect(words).toEqual([expect.stringContaining("ddd"), BEHIND, expect.stringContaining("after")]);
});

it("a reader is let go that the log was trimmed past, and does not wait for an answer that is gone", async () => {
  const code = await inObject(async (ctx) => {
    const { say, streams, server, closed } = follow(ctx);
    for (const text of ["d", "e", "f"]) say(text.repeat(2 * MIB));
    streams.sendPage(server);
    return closed;
  });
  expect(code).toBe(CLOSE_CODES.unreadable);
});

/** A reader of an exchange's stream, and everything that its bridge receives: the priming event first. */
function follow(ctx: DurableObjectState) {
  const channel = { storage: ctx.storage, subscribers: new Subscribers(ctx), limits: LIMITS };
  const streams = new GatewayStreams(channel, EPOCH, {
    listens: () => false,
    subscription: () => undefined,
  });
  const exchange = streams.beginExchange(["1"], false);
  const say = (text: string): void => streams.say(exchange, [text], exchange.pending);
  const { 0: client, 1: server } = new WebSocketPair();
  const messages: string[] = [];
  const watchers = new Set<() => void>();
  const closed = Promise.withResolvers<number>();
  client.binaryType = "arraybuffer";
  client.addEventListener("close", ({ code }) => closed.resolve(code));
  client.addEventListener("message", ({ data }) => {
    messages.push(typeof data === "string" ? data : new TextDecoder().decode(data as ArrayBuffer));
    for (const watcher of watchers) watcher();
  });
  const match = { type: "mcp", upstream: "default" } as const;
  streams.attach(
    server,
    { match, kind: "exchange", stream: STREAM },
    { stream: STREAM, seq: 0 },
    {},
  );
  client.accept();
  const received = {
    /** Resolves with the message of this index, when it has come. */
    at: (n: number): Promise<string> =>
      new Promise((resolve) => {
        const look = (): void => {
          const message = messages[n];
          if (message !== undefined) resolve(message);
        };
        watchers.add(look);
        look();
      }),
  };
  return { say, streams, server, received, closed: closed.promise };
}
