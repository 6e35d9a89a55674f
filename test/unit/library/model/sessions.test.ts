import { describe, expect, it } from "vitest";
import {
  InvalidSessionIdError,
  InvalidSessionTypeError,
  MessageChannelFullError,
  SessionDisconnectedError,
} from "../../../../src/core/errors.ts";
import { MessageQueue, SSESession } from "../../../../src/library/model/sse-session.ts";
import { ProxySession, StreamableSession } from "../../../../src/library/model/session.ts";
import { FakeClock } from "../../../support/fake-clock.ts";

const ID = "2f1c0a3e-6d0e-4c58-9a47-0d1b5f0c7a11";

async function drain(queue: MessageQueue): Promise<string[]> {
  const read: string[] = [];
  for await (const message of queue) read.push(message);
  return read;
}

describe("ProxySession", () => {
  it("is of type mcp unless said", () => {
    expect(new ProxySession(ID).type).toBe("mcp");
    expect(new ProxySession(ID, "quantum").type).toBe("quantum");
  });

  it("keeps a UUID in its canonical form", () => {
    expect(new ProxySession(`urn:uuid:${ID.toUpperCase()}`).id).toBe(ID);
  });

  it("refuses an empty id and an empty type", () => {
    expect(() => new ProxySession("")).toThrow(InvalidSessionIdError);
    expect(() => new ProxySession(ID, "")).toThrow(InvalidSessionTypeError);
  });

  it("gives its metadata as a copy", () => {
    const session = new ProxySession(ID);
    session.setMetadata("a", "1");
    session.getMetadata()["a"] = "2";
    expect(session.getMetadata()).toEqual({ a: "1" });
    expect(session.getMetadataValue("a")).toBe("1");
  });

  it("treats a key named __proto__ like any other", () => {
    const session = new ProxySession(ID);
    session.setMetadata("__proto__", "x");
    expect(Object.entries(session.getMetadata())).toEqual([["__proto__", "x"]]);
  });

  it("moves updatedAt when it is touched and when its content changes, and createdAt never", async () => {
    const clock = new FakeClock();
    const session = new ProxySession(ID, "mcp", { clock });
    const made = clock.now();
    const changes = [
      () => session.touch(),
      () => session.setMetadata("a", "1"),
      () => session.deleteMetadata("a"),
      () => session.setData({ a: 1 }),
      () => session.setData(undefined),
    ];
    for (const change of changes) {
      await clock.advance(1000);
      change();
      expect(session.updatedAt.getTime()).toBe(clock.now());
    }
    const last = clock.now();
    await clock.advance(1000);
    session.deleteMetadata("never was");
    expect(session.updatedAt.getTime()).toBe(last);
    expect(session.createdAt.getTime()).toBe(made);
  });

  it("gives dates as copies", () => {
    const session = new ProxySession(ID, "mcp", { clock: new FakeClock(1000) });
    session.createdAt.setTime(0);
    expect(session.createdAt.getTime()).toBe(1000);
  });
});

describe("SSESession", () => {
  it("gives its messages in order, to who waits and to who comes later", async () => {
    const session = new SSESession(ID);
    const reading = drain(session.messages);
    session.sendMessage("a");
    session.sendMessage("b");
    session.disconnect();
    expect(await reading).toEqual(["a", "b"]);
  });

  it("queues 100 messages and refuses the next one, dropping none", async () => {
    const session = new SSESession(ID);
    for (let i = 0; i < 100; i++) session.sendMessage(String(i));
    expect(() => session.sendMessage("100")).toThrow(MessageChannelFullError);
    expect(() => session.sendMessage("100")).toThrow(expect.objectContaining({ status: 503 }));
    session.disconnect();
    expect(await drain(session.messages)).toHaveLength(100);
  });

  it("fails to send once it is disconnected, which may be repeated", () => {
    const session = new SSESession(ID);
    expect(session.getConnectionStatus()).toBe(true);
    session.disconnect();
    session.disconnect();
    expect(session.isConnected).toBe(false);
    expect(() => session.sendMessage("late")).toThrow(SessionDisconnectedError);
  });

  it("sends to the queue of its client, and takes the client's time as its own", () => {
    const client = { messages: new MessageQueue(1), createdAt: new Date(5) };
    const session = new SSESession(ID, client);
    session.sendMessage("a");
    expect(client.messages.size).toBe(1);
    expect(session.getClientInfo()).toBe(client);
    expect(session.getCreatedAt()).toEqual(new Date(5));
    session.setClientInfo(undefined);
    expect(session.getClientInfo()).toBeUndefined();
    expect(session.getCreatedAt()).toEqual(session.createdAt);
  });

  it("given another client, ends who waits at the queue before it", async () => {
    const session = new SSESession(ID);
    const reading = drain(session.messages);
    session.setClientInfo({ messages: new MessageQueue(), createdAt: new Date(5) });
    expect(await reading).toEqual([]);
    session.sendMessage("a");
    expect(session.messages.size).toBe(1);
  });

  it("given another client, passes on what nobody has read, as far as there is room", async () => {
    const session = new SSESession(ID);
    const before = session.messages;
    for (const message of ["a", "b", "c"]) session.sendMessage(message);
    const messages = new MessageQueue(2);
    session.setClientInfo({ messages, createdAt: new Date(5) });
    session.disconnect();
    expect([await drain(messages), await drain(before)]).toEqual([["a", "b"], ["c"]]);
  });

  it("given its own client again, changes nothing", () => {
    const client = { messages: new MessageQueue(), createdAt: new Date(5) };
    const session = new SSESession(ID, client);
    session.setClientInfo(client);
    session.sendMessage("a");
    expect(client.messages.size).toBe(1);
  });

  it("given a client after it was disconnected, ends that one's stream", async () => {
    const session = new SSESession(ID);
    session.disconnect();
    const messages = new MessageQueue();
    session.setClientInfo({ messages, createdAt: new Date(5) });
    expect(await drain(messages)).toEqual([]);
  });

  it("ends a waiting reader when it is closed", async () => {
    const session = new SSESession(ID);
    const reading = drain(session.messages);
    session.close();
    expect(await reading).toEqual([]);
  });
});

describe("StreamableSession", () => {
  it("has a fixed type, and never data", () => {
    const session = new StreamableSession(ID);
    session.setData({ a: 1 });
    expect(session.type).toBe("streamable");
    expect(session.getData()).toBeUndefined();
  });

  it("can be disconnected, and again", () => {
    const session = new StreamableSession(ID);
    session.disconnect();
    session.disconnect();
    expect(session.isConnected).toBe(false);
  });
});
