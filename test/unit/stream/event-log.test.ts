/** The log of a session's events over SQLite: what it retains and deletes, its pages, and what another life of the object reads. */
import { describe, expect, it, vi } from "vitest";
import { REPLAY_PAGE_BYTES } from "../../../src/core/limits.ts";
import { EventLog, sized, type LogPage } from "../../../src/stream/event-log.ts";
import type { LogTable } from "../../../src/stream/log-statements.ts";
import { encodeFrame } from "../../../src/wire/sse-frame.ts";
import { ObjectStorage } from "../../support/object-storage.ts";

const EPOCH = "0".repeat(15);
const LARGE = 1_000_000;
const decoder = new TextDecoder();

interface Bounds {
  readonly logMaxEvents?: number;
  readonly logMaxBytes?: number;
  readonly streamBufferBytes?: number;
}

/** A storage, and the log as each life of the object opens it. */
class Stored {
  readonly disk = new ObjectStorage();
  readonly table: LogTable;
  readonly bounds: Bounds;
  /** The first event that was left, at each deletion. */
  readonly deleted: number[] = [];

  constructor(table: LogTable = "events", bounds: Bounds = {}) {
    this.table = table;
    this.bounds = bounds;
  }

  open(bounds: Bounds = this.bounds): EventLog {
    const limits = {
      logMaxEvents: LARGE,
      logMaxBytes: LARGE,
      streamBufferBytes: 4 * LARGE,
      ...bounds,
    };
    const onDelete = (first: number) => void this.deleted.push(first);
    return new EventLog(this.disk.open().storage, this.table, limits, EPOCH, onDelete);
  }

  get rows(): number {
    return this.disk.rows()[this.table]?.length ?? 0;
  }
}

/** Appends one event of so many bytes for each number. */
function append(log: EventLog, ...sizes: number[]): void {
  for (const size of sizes) log.append(0, [sized({ data: "x".repeat(size) })]);
}

const times = (count: number, size: number) => Array.from({ length: count }, () => size);
const dataIn = (log: EventLog, stream = 0, seq = 0) =>
  Array.from(log.after(stream, seq), ({ data }) => data);
const textsOf = ({ frames }: LogPage) => frames.map((frame) => decoder.decode(frame));
const stateOf = (log: EventLog) => ({
  before: log.beforeFirst,
  last: log.lastSeq,
  stored: log.storedBytes,
  taken: log.takenAsStored,
  data: dataIn(log),
  sums: Array.from({ length: log.lastSeq - log.beforeFirst }, (_, n) =>
    log.sumThrough(log.beforeFirst + 1 + n),
  ),
});

describe("what is retained", () => {
  it.each<[what: string, bounds: Bounds, sizes: readonly number[]]>([
    ["by count", { logMaxEvents: 5 }, times(30, 3)],
    ["by bytes", { logMaxBytes: 40 }, times(30, 8)],
    ["by both", { logMaxEvents: 9, logMaxBytes: 50 }, times(40, 0).map((_, n) => (n * 7) % 13)],
    ["with one that is larger than the log", { logMaxBytes: 20 }, [5, 5, 50, 5, 5, 5, 5, 21, 1]],
  ])(
    "%s is the newest that fits, at least one, and the same in every life",
    (_what, bounds, sizes) => {
      const stored = new Stored("events", bounds);
      const log = stored.open();
      const { logMaxEvents, logMaxBytes } = log.limits;
      let kept: string[] = [];
      for (const [n, size] of sizes.entries()) {
        append(log, size);
        kept.push("x".repeat(size));
        const total = () => kept.join("").length;
        while (kept.length > logMaxEvents || (total() > logMaxBytes && kept.length > 1)) {
          kept = kept.slice(1);
        }
        expect(stateOf(log)).toMatchObject({
          before: n + 1 - kept.length,
          last: n + 1,
          data: kept,
          sums: kept.map((_, at) =>
            sizes.slice(0, n + 2 - kept.length + at).reduce((a, b) => a + b, 0),
          ),
        });
        expect(stateOf(stored.open())).toEqual(stateOf(log));
      }
    },
  );

  it("is less where the next life has narrower bounds, and rows go at once where they are many", () => {
    const stored = new Stored();
    append(stored.open(), ...times(16, 5));
    expect(stored.open({ logMaxEvents: 15 }).beforeFirst).toBe(1);
    expect(stored.open({ logMaxBytes: 75 }).beforeFirst).toBe(1);
    expect([stored.rows, stored.deleted]).toEqual([16, []]);
    expect(stored.open({ logMaxEvents: 3 }).beforeFirst).toBe(13);
    expect([stored.rows, stored.deleted]).toEqual([3, [14]]);
  });
});

describe("rows", () => {
  it("are deleted when an eighth of the count lies behind the first event, with what is told of it", () => {
    const stored = new Stored("events", { logMaxEvents: 16 });
    const log = stored.open();
    append(log, ...times(16, 5));
    const seen = Array.from({ length: 4 }, () => {
      append(log, 5);
      return [stored.rows, log.storedBytes, stored.deleted.at(-1)];
    });
    expect(seen).toEqual([
      [17, 85, undefined],
      [16, 80, 3],
      [17, 85, 3],
      [16, 80, 5],
    ]);
    expect(stored.deleted).toEqual([3, 5]);
  });

  it("are deleted when an eighth of the bytes does", () => {
    const stored = new Stored("events", { logMaxBytes: 80 });
    const log = stored.open();
    append(log, ...times(16, 5));
    expect(log.beforeFirst).toBe(0);
    const seen = Array.from({ length: 4 }, () => {
      append(log, 5);
      return [stored.rows, log.storedBytes, log.beforeFirst];
    });
    expect(seen).toEqual([
      [17, 85, 1],
      [16, 80, 2],
      [17, 85, 3],
      [16, 80, 4],
    ]);
    expect(stored.deleted).toEqual([3, 5]);
  });

  it("are read for a sum only where the bytes may be over the bound", () => {
    const stored = new Stored("events", { logMaxEvents: 16 });
    const { storage } = stored.disk.open();
    const limits = { logMaxEvents: 16, logMaxBytes: 1000, streamBufferBytes: LARGE };
    const log = new EventLog(storage, "events", limits, EPOCH);
    append(log, ...times(16, 5));
    const exec = vi.spyOn(storage.sql, "exec");
    append(log, 5);
    expect(exec.mock.calls.map(([query]) => query.slice(0, 6))).toEqual(["INSERT"]);
  });

  it("that are still there are behind the first event for every reader", () => {
    const stored = new Stored("events", { logMaxEvents: 16 });
    const log = stored.open();
    log.append(7, [sized({ data: "gone" })]);
    append(log, ...times(15, 1));
    log.append(7, [sized({ data: "kept" })]);
    expect([stored.rows, log.beforeFirst]).toEqual([17, 1]);
    expect(dataIn(log, 7)).toEqual(["kept"]);
    expect(log.beforeStream(7)).toBe(16);
    expect(textsOf(log.page(7, 0))).toEqual([encodeFrame({ id: log.idOf(17, 7), data: "kept" })]);
  });

  it("count as nothing in a sum once they are deleted", () => {
    const log = new Stored("events", { logMaxEvents: 2 }).open();
    append(log, 3, 4, 5, 6);
    expect([0, 1, 2, 3, 4].map((seq) => log.sumThrough(seq))).toEqual([7, 7, 7, 12, 18]);
  });
});

describe("an append", () => {
  it("gives each event the next number, and its frame", () => {
    const log = new Stored().open();
    const logged = log.append(3, [sized({ event: "named", data: "a" }), sized({ data: "b\nc" })]);
    expect(logged.map(({ seq, frame }) => [seq, decoder.decode(frame)])).toEqual([
      [1, encodeFrame({ id: `${EPOCH}-000000000001-3`, event: "named", data: "a" })],
      [2, encodeFrame({ id: `${EPOCH}-000000000002-3`, data: "b\nc" })],
    ]);
    expect(textsOf(log.page(3, 0))).toEqual(logged.map(({ frame }) => decoder.decode(frame)));
  });

  it("counts name and data in UTF-8, also of the oldest row in another life", () => {
    const stored = new Stored("events", { logMaxEvents: 1 });
    const log = stored.open();
    log.append(0, [sized({ event: "é", data: "漢" })]);
    expect([log.storedBytes, stored.open().storedBytes]).toEqual([5, 5]);
    log.append(0, [sized({ event: "é", data: "漢x" })]);
    expect([stored.rows, log.storedBytes, stored.open().storedBytes]).toEqual([1, 6, 6]);
  });

  it.each<LogTable>(["events", "messages"])(
    "of %s that fails stores nothing, whichever append it is, and the next one goes on",
    (table) => {
      const stored = new Stored(table);
      const log = stored.open();
      const bad = { data: Symbol("no text") as unknown as string, bytes: 1 };
      const before = stateOf(log);
      expect(() => log.append(0, [sized({ data: "a" }), bad], 1)).toThrow();
      expect([stateOf(log), stored.rows]).toEqual([before, 0]);
      log.append(0, [sized({ data: "b" })], 1);
      const after = stateOf(log);
      expect(() => log.append(0, [sized({ data: "c" }), bad], 2)).toThrow();
      expect(stateOf(log)).toEqual(after);
      log.append(0, [sized({ data: "d" })], 2);
      expect(stateOf(log)).toMatchObject({ last: 2, data: ["b", "d"], stored: 2, taken: 1 });
      expect(stateOf(stored.open())).toEqual(stateOf(log));
    },
  );

  it("takes back what it deleted where what is told of the deletion fails", () => {
    const stored = new Stored("events", { logMaxEvents: 8 });
    append(stored.open(), ...times(8, 1));
    const limits = { logMaxEvents: 8, logMaxBytes: LARGE, streamBufferBytes: LARGE };
    const onDelete = () => {
      throw new Error("no");
    };
    const log = new EventLog(stored.disk.open().storage, "events", limits, EPOCH, onDelete);
    expect(() => append(log, 1)).toThrow("no");
    expect([stored.rows, log.lastSeq, log.beforeFirst]).toEqual([8, 8, 0]);
  });

  it("keeps what readers had taken by then for another life; 0 is that of no account", () => {
    const stored = new Stored();
    const log = stored.open();
    expect(log.takenAsStored).toBe(0);
    const taken = [1, 2, 0].map((unreadFrom) => {
      log.append(0, [sized({ data: "a" }), sized({ data: "b" })], unreadFrom);
      return [log.takenAsStored, stored.open().takenAsStored];
    });
    expect(taken).toEqual([
      [0, 0],
      [1, 1],
      [6, 6],
    ]);
  });
});

it("a new session's log is empty without a look at the storage", () => {
  const storage = { sql: {} } as DurableObjectStorage;
  const limits = { logMaxEvents: 1, logMaxBytes: 1, streamBufferBytes: 1 };
  const log = new EventLog(storage, "events", limits, EPOCH, () => undefined, true);
  expect([log.lastSeq, log.beforeFirst, log.beforeStream(0), dataIn(log)]).toEqual([0, 0, 0, []]);
  const messages = new EventLog(storage, "messages", limits, EPOCH, () => undefined, true);
  expect(messages.aside(2)).toBeUndefined();
});

describe("a place", () => {
  it("before a stream is that before its first event, or the newest of all where it has none", () => {
    const stored = new Stored();
    const log = stored.open();
    expect(log.beforeStream(0)).toBe(0);
    log.append(1, [sized({ data: "a" })]);
    log.append(2, [sized({ data: "b" })]);
    log.append(1, [sized({ data: "c" })]);
    expect([1, 2, 3].map((stream) => log.beforeStream(stream))).toEqual([0, 1, 3]);
  });

  it("can be resumed from just before the first retained event to the newest, and not beyond", () => {
    const log = new Stored("events", { logMaxEvents: 2 }).open();
    append(log, 1, 1, 1, 1);
    const kinds = [1, 2, 4, 5].map((seq) => log.resume(log.idOf(seq, 0)).kind);
    expect(kinds).toEqual(["gap", "resume", "resume", "gap"]);
    expect(log.resume(log.idOf(4, 0), 3).kind).toBe("gap");
    expect(log.resume(log.idOf(4, 0).replace("0", "1")).kind).toBe("gap");
  });
});

describe("a page", () => {
  const frame = encodeFrame({ id: `${EPOCH}-000000000001-0`, data: "x".repeat(10) }).length;
  /** A log whose page takes so many frames of ten bytes, and so many bytes more. */
  const paged = (frames: number, more = 0) =>
    new Stored("events", { streamBufferBytes: 4 * (frames * frame + more) }).open();
  const shapeOf = ({ frames, through, complete }: LogPage) => [frames.length, through, complete];

  it.each([
    ["exactly", 0, 2],
    ["with a byte to spare", 1, 2],
    ["all but a byte", -1, 1],
  ])("takes the frames that fit, %s", (_what, more, count) => {
    const log = paged(2, more);
    append(log, ...times(5, 10));
    expect(shapeOf(log.page(0, 0))).toEqual([count, count, false]);
    expect(shapeOf(log.page(0, 5 - count))).toEqual([count, 5, true]);
  });

  it("goes on where the last one ended, and is live with the last", () => {
    const log = paged(2);
    append(log, ...times(5, 10));
    const pages = [0, 2, 4].map((seq) => shapeOf(log.page(0, seq)));
    expect(pages).toEqual([
      [2, 2, false],
      [2, 4, false],
      [1, 5, true],
    ]);
    expect(shapeOf(log.page(0, 5))).toEqual([0, 5, true]);
  });

  it("is one event where that is larger, after which the reader is not live yet", () => {
    const log = paged(2);
    append(log, 1000, 10);
    expect(shapeOf(log.page(0, 0))).toEqual([1, 1, false]);
    const alone = paged(2);
    append(alone, 1000);
    expect(shapeOf(alone.page(0, 0))).toEqual([1, 1, false]);
    expect(shapeOf(alone.page(0, 1))).toEqual([0, 1, true]);
  });

  it("covers what came on other streams as well, and begins with what is left", () => {
    const log = new Stored("events", { logMaxEvents: 8 }).open();
    for (const stream of [0, 1, 0, 1]) log.append(stream, [sized({ data: `${stream}` })]);
    expect(shapeOf(log.page(0, 0))).toEqual([2, 4, true]);
    expect(shapeOf(log.page(2, 0))).toEqual([0, 4, true]);
    append(log, ...times(7, 1));
    expect(shapeOf(log.page(1, 0))).toEqual([1, 11, true]);
  });

  it("has a quarter of what the bridge may queue, and a bound of its own", () => {
    const bytesOf = (streamBufferBytes: number) =>
      new Stored("events", { streamBufferBytes }).open().pageBytes;
    expect(bytesOf(1024)).toBe(256);
    expect(bytesOf(4 * REPLAY_PAGE_BYTES - 4)).toBe(REPLAY_PAGE_BYTES - 1);
    expect(bytesOf(4 * REPLAY_PAGE_BYTES + 4)).toBe(REPLAY_PAGE_BYTES);
  });
});

describe("messages", () => {
  it("have a name where they have none, and events have none", () => {
    const log = new Stored("messages").open();
    log.append(1, [sized({ data: "{}" })]);
    expect(textsOf(log.page(1, 0))).toEqual([
      encodeFrame({ id: log.idOf(1, 1), event: "message", data: "{}" }),
    ]);
    expect(Array.from(log.texts(1, 0))).toEqual(["{}"]);
    const events = new Stored().open();
    events.append(1, [sized({ data: "" }), sized({ data: "b" })]);
    expect(Array.from(events.texts(1, 0))).toEqual(["", "b"]);
    expect(Array.from(events.texts(1, 1))).toEqual(["b"]);
  });

  it("larger than a row are whole for every reader, count with all their bytes, and go with their row", () => {
    const stored = new Stored("messages", { logMaxEvents: 2, logMaxBytes: 100 * LARGE });
    const log = stored.open();
    const huge = "é".repeat(600_000);
    log.append(1, [sized({ data: huge })]);
    expect(Array.from(log.texts(1, 0))).toEqual([huge]);
    expect(textsOf(log.page(1, 0))[0]).toContain(huge);
    const again = stored.open();
    expect([again.storedBytes, Array.from(again.texts(1, 0))]).toEqual([1_200_000, [huge]]);
    append(log, 1, 1);
    expect([stored.rows, stored.disk.rows()["message_parts"]]).toEqual([2, []]);
  });

  it("of an upstream's stream say after which event it can be resumed: the newest of their stream, after a place", () => {
    const stored = new Stored("messages");
    const log = stored.open();
    expect(log.aside(2)).toBeUndefined();
    const say = (stream: number, aside?: string) =>
      log.append(stream, [{ ...sized({ data: "{}" }), aside }]);
    say(2, "a");
    say(3, "z");
    say(2, "b");
    say(2);
    for (const one of [log, stored.open()]) {
      expect([one.aside(2), one.aside(3), one.aside(4)]).toEqual(["b", "z", undefined]);
      expect([one.aside(2, 2), one.aside(2, 3)]).toEqual(["b", undefined]);
    }
  });

  it("count with what is stored beside them, also where that is changed, and as much in another life", () => {
    const stored = new Stored("events", { logMaxEvents: 3 });
    const log = stored.open();
    const add = (data: string, aside?: string) =>
      log.append(0, [sized({ event: "e", data, aside })]);
    add("one", "é");
    add("two");
    expect([log.storedBytes, stored.open().storedBytes]).toEqual([10, 10]);
    log.changeAside(0, "abc");
    expect([log.aside(0), log.aside(0, 1), log.storedBytes]).toEqual(["abc", "abc", 13]);
    log.changeAside(0, "a");
    const again = stored.open();
    expect([again.aside(0, 1), again.storedBytes, log.storedBytes]).toEqual(["a", 11, 11]);
    // The first event goes, with all of its bytes.
    for (const data of ["3", "4", "5"]) add(data);
    expect([log.storedBytes, stored.open().storedBytes]).toEqual([6, 6]);
  });

  it("of a table that an earlier version made get the column with the first such event", () => {
    const stored = new Stored("messages");
    const { storage } = stored.disk.open();
    storage.sql.exec(`CREATE TABLE messages (
      seq INTEGER PRIMARY KEY,
      stream INTEGER NOT NULL,
      bytes_sum INTEGER NOT NULL,
      queue_from INTEGER NOT NULL,
      event TEXT,
      data TEXT NOT NULL
    )`);
    const log = stored.open();
    expect(log.aside(2)).toBeUndefined();
    log.append(2, [sized({ data: "{}" })]);
    expect(stored.open().aside(2)).toBeUndefined();
    log.append(2, [{ ...sized({ data: "{}" }), aside: "a" }]);
    log.append(2, [{ ...sized({ data: "{}" }), aside: "b" }]);
    expect([log.aside(2), stored.open().aside(2), stored.rows]).toEqual(["b", "b", 3]);
  });

  it("of the two tables know nothing of each other", () => {
    const disk = new ObjectStorage();
    const limits = { logMaxEvents: 10, logMaxBytes: LARGE, streamBufferBytes: LARGE };
    const open = (table: LogTable) => new EventLog(disk.open().storage, table, limits, EPOCH);
    const [events, messages] = [open("events"), open("messages")];
    append(events, 1, 1);
    append(messages, 1);
    expect([open("events").lastSeq, open("messages").lastSeq]).toEqual([2, 1]);
    expect(events.aside(0)).toBeUndefined();
    // An upstream's id is of messages alone.
    const [event, message] = [disk.rows()["events"]?.[0], disk.rows()["messages"]?.[0]];
    expect([event, message].map((row) => "upstream_id" in (row as object))).toEqual([false, true]);
  });
});

it("takes an aside for the newest event of a log that an older version made", () => {
  const stored = new Stored();
  append(stored.open(), 1);
  stored.disk.run("ALTER TABLE events DROP COLUMN aside");
  const log = stored.open();
  log.changeAside(0, "abc");
  expect([log.aside(0), log.storedBytes, stored.open().aside(0)]).toEqual(["abc", 4, "abc"]);
});

it("counts no aside that could not be stored", () => {
  const stored = new Stored();
  const log = stored.open();
  append(log, 1);
  const run = vi.spyOn(stored.disk, "run").mockImplementation(() => {
    throw new Error("database or disk is full");
  });
  expect(() => log.changeAside(0, "abc")).toThrow("full");
  run.mockRestore();
  expect([log.storedBytes, stored.open().storedBytes]).toEqual([1, 1]);
});
