/**
 * A session's object is taken out of memory in each situation that its state can be in. It must go
 * on as one that was never evicted: the same calls have the same answers, and every reader gets the
 * same frames.
 */
import { describe, expect, it } from "vitest";
import { newSessionId } from "../../../src/library/model/session.ts";
import type { EventPage, SessionContent, Sessions } from "../../../src/core/host.ts";
import type { SessionId } from "../../../src/core/id.ts";
import { Follower } from "../../support/platform/follower.ts";
import { REPORT } from "../../../src/stream/protocol.ts";
import { startPlatform, type Platform } from "../../support/platform/platform.ts";

const VARS = {
  DIRECTORY_SHARDS: "1",
  LOG_MAX_EVENTS: "8",
  LOG_MAX_BYTES: "400",
  STREAM_BUFFER_BYTES: "1024",
};
const CONTENT: SessionContent = {
  type: "mcp",
  metadata: { a: "b" },
  dataJson: '{"n":1}',
  ttlMs: 1_600_000,
  maxLifetimeMs: 0,
  subject: "alice",
};

class World {
  readonly platform: Platform = startPlatform(VARS);
  readonly sessions: Sessions = this.platform.host().as({ admin: true });
  readonly id: SessionId = newSessionId();
  readonly readers: Follower[] = [];
  #events = 0;
  /** Whether the object is evicted before each step. */
  readonly #evicts: boolean;

  constructor(evicts: boolean) {
    this.#evicts = evicts;
  }

  async step<T>(act: () => Promise<T>): Promise<T | string> {
    await this.platform.pass(10);
    if (this.#evicts) this.platform.session(this.id).evict();
    return act().catch((failure: unknown) => String(failure));
  }

  make(content: Partial<SessionContent> = {}) {
    return this.step(() => this.sessions.create(this.id, { ...CONTENT, ...content }));
  }

  publish(count = 1, size = 1, key?: string) {
    const events = Array.from({ length: count }, () => ({
      data: `${this.#events++}`.padEnd(size, "."),
    }));
    return this.step(() => this.sessions.publish(this.id, events, key));
  }

  follow(start: Parameters<typeof Follower.of>[2] = { kind: "queued" }) {
    return this.step(async () => {
      this.readers.push(await Follower.of(this.sessions, this.id, start));
    });
  }

  /** Makes the session, and publishes so many events to a reader of it. */
  async followed(count: number): Promise<void> {
    await this.make();
    await this.follow();
    await this.publish(count);
  }

  async tell(act: (reader: Follower) => void, nth = 0): Promise<void> {
    await this.step(async () => act(this.readers[nth]!));
    await this.platform.pass(10);
  }
}

/** Everything that can be seen of the session, without what differs by chance. */
async function seen(world: World): Promise<{ expiresAt: number; rest: unknown }> {
  const { sessions, id, readers } = world;
  const pages: (EventPage | string)[] = [];
  for (const after of [undefined, readers[0]?.lastId, "000000000000000-000000000001-0"]) {
    pages.push(
      (await world.step(() =>
        sessions.readEvents(id, { limit: 5, touch: false, ...(after && { after }) }),
      )) as EventPage | string,
    );
  }
  const view = await world.step(() => sessions.read(id, false));
  const fresh = await world.follow();
  const refused = await world.publish(1, 1);
  const full = await world.publish(8, 40);
  const same = await world.publish(1, 1, "key");
  await world.platform.pass(10);
  const { expiresAt, ...rest } = typeof view === "string" ? { expiresAt: 0 } : view;
  const text = JSON.stringify({
    pages,
    view: rest,
    fresh,
    refused,
    full,
    same,
    readers: readers.map(({ frames, words, closedBy }) => ({
      frames,
      // An object that has forgotten that it asked asks once more, which changes nothing.
      words: words.filter((word) => !word.startsWith(REPORT)),
      closedBy,
    })),
    count: await world.platform.directory.count({ subject: "alice" }),
    alarm: world.platform.session(id).disk.alarm,
  });
  return { expiresAt, rest: JSON.parse(unchanced(text.replaceAll(id, "ID"))) as unknown };
}

/** Numbers the epochs, which are made by chance. */
function unchanced(text: string): string {
  const epochs = [...new Set(text.match(/\b[0-9a-z]{15}(?=-\d{12}-|\.\d)/g))];
  return epochs.reduce((one, epoch, n) => one.replaceAll(epoch, `EPOCH${n}`), text);
}

const SITUATIONS: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  "that was just made": (world) => world.make(),
  "with events that nobody has read": async (world) => {
    await world.make();
    await world.publish(3);
  },
  "whose queue was read by a reader that has left": async (world) => {
    await world.followed(3);
    await world.tell((reader) => reader.take());
    await world.tell((reader) => reader.leave());
  },
  "whose queue was read in part by a reader that has left": async (world) => {
    await world.followed(4);
    await world.tell((reader) => reader.take(reader.frames[1]!.id));
    await world.tell((reader) => reader.leave());
  },
  "whose reader says what it took as it leaves": async (world) => {
    await world.followed(4);
    await world.tell((reader) => reader.leave(reader.frames[2]!.id));
  },
  "whose queue was read in part by a reader that is there": async (world) => {
    await world.followed(4);
    await world.tell((reader) => reader.take(reader.frames[1]!.id));
  },
  "with events after those that were read": async (world) => {
    await world.followed(2);
    await world.tell((reader) => reader.take());
    await world.tell((reader) => reader.leave());
    await world.publish(2);
  },
  "whose witness has left while another reader stays": async (world) => {
    await world.make();
    await world.follow();
    await world.follow();
    await world.publish(3);
    await world.tell((reader) => reader.take(reader.frames[0]!.id));
    await world.tell((reader) => reader.leave());
    await world.tell((reader) => reader.take(reader.frames[1]!.id), 1);
  },
  "with a log that is full by count": async (world) => {
    await world.make();
    await world.publish(8);
  },
  "with a log that is full by bytes": async (world) => {
    await world.make();
    await world.publish(4, 100);
  },
  "with a log that was trimmed unread": async (world) => {
    await world.make({ overflow: "trim" });
    await world.publish(7);
    await world.publish(7);
  },
  "with a log that was trimmed unread by bytes": async (world) => {
    await world.make({ overflow: "trim" });
    for (let n = 0; n < 7; n++) await world.publish(1, 90);
  },
  "with one event larger than its log": async (world) => {
    await world.make();
    await world.publish(1, 700);
  },
  "with a reader that is behind": async (world) => {
    await world.make({ overflow: "trim" });
    await world.publish(4, 90);
    await world.follow({ kind: "earliest" });
  },
  "with a reader that is behind and was overtaken by a trim": async (world) => {
    await world.make({ overflow: "trim" });
    await world.publish(4, 90);
    await world.follow({ kind: "earliest" });
    await world.publish(4, 90);
    await world.tell((reader) => reader.more());
    await world.tell((reader) => reader.more());
  },
  "with a reader that came back by an id": async (world) => {
    await world.followed(3);
    const { frames } = world.readers[0]!;
    await world.tell((reader) => reader.leave());
    await world.follow({ kind: "after", lastEventId: frames[1]!.id });
  },
  "with a reader that came back by an id that is gone": async (world) => {
    await world.make({ overflow: "trim" });
    await world.follow();
    await world.publish(3);
    const { frames } = world.readers[0]!;
    await world.tell((reader) => reader.leave());
    await world.publish(8);
    await world.follow({ kind: "after", lastEventId: frames[0]!.id });
  },
  "that was disconnected": async (world) => {
    await world.followed(2);
    await world.step(() => world.sessions.disconnect(world.id));
  },
  "that was disconnected and followed again": async (world) => {
    await world.make();
    await world.follow();
    await world.step(() => world.sessions.disconnect(world.id));
    await world.follow();
  },
  "whose stream has ended": async (world) => {
    await world.make();
    await world.publish(2);
    await world.step(() => world.sessions.endStream(world.id));
  },
  "whose stream has ended by an event under a reader that is behind": async (world) => {
    await world.make({ overflow: "trim" });
    await world.publish(4, 90);
    await world.follow({ kind: "earliest" });
    await world.step(() => world.sessions.endStream(world.id, { data: "last" }));
    await world.tell((reader) => reader.more());
    await world.tell((reader) => reader.more());
    await world.tell((reader) => reader.more());
  },
  "that knows keys": async (world) => {
    await world.make();
    await world.publish(2, 1, "key");
    await world.publish(2);
  },
  "that has forgotten a key": async (world) => {
    await world.make({ overflow: "trim" });
    await world.publish(2, 1, "key");
    await world.publish(8);
  },
  "that was changed": async (world) => {
    await world.make();
    await world.step(() => world.sessions.patch(world.id, { metadata: { a: null, c: "d" } }));
    await world.step(() => world.sessions.upsert(world.id, { ...CONTENT, ttlMs: 50_000 }));
  },
  "that moved to another owner under its readers": async (world) => {
    await world.followed(2);
    await world.step(() => world.sessions.upsert(world.id, { ...CONTENT, subject: "bob" }));
  },
  "that was made again": async (world) => {
    await world.make();
    await world.publish(3, 1, "key");
    await world.step(() => world.sessions.delete(world.id));
    await world.make({ type: "sse" });
    await world.publish(1);
  },
  "that has ended": async (world) => {
    await world.followed(1);
    await world.step(() => world.sessions.delete(world.id));
  },
};

describe("an object that is evicted at every step goes on with a session", () => {
  it.each(Object.keys(SITUATIONS))("%s", async (name) => {
    const play = async (evicts: boolean) => {
      const world = new World(evicts);
      await SITUATIONS[name]!(world);
      return seen(world);
    };
    const [kept, evicted] = [await play(false), await play(true)];
    expect(evicted.rest).toEqual(kept.rest);
    // It knows its last use by the credit alone: never early, and a sixteenth of the TTL late at most.
    expect(evicted.expiresAt).toBeGreaterThanOrEqual(kept.expiresAt);
    expect(evicted.expiresAt).toBeLessThanOrEqual(kept.expiresAt + CONTENT.ttlMs / 16);
  });
});

/** The first number that a new reader without an id gets, over an eviction. */
async function nextFor(situation: string): Promise<string | undefined> {
  const world = new World(true);
  await SITUATIONS[situation]!(world);
  await world.publish(1);
  await world.follow();
  await world.platform.pass(10);
  return world.readers.at(-1)?.data[0];
}

describe("after an eviction a reader without an id gets no event that was read before", () => {
  it.each([
    ["whose queue was read by a reader that has left", "3"],
    ["whose queue was read in part by a reader that has left", "2"],
    ["whose reader says what it took as it leaves", "3"],
    ["whose queue was read in part by a reader that is there", "2"],
    ["with events after those that were read", "2"],
    ["whose witness has left while another reader stays", "2"],
    ["with events that nobody has read", "0"],
  ])("of a session %s", async (situation, next) => {
    expect(await nextFor(situation)).toBe(next);
  });
});
