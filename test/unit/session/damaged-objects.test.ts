/** When the files of a session are dropped, and that nothing is dropped that may be sound. */
import { expect, it, vi } from "vitest";
import { UnavailableError } from "../../../src/core/errors.ts";
import { requireSessionId } from "../../../src/core/id.ts";
import { UNREADABLE } from "../../../src/session/record.ts";
import { DamagedObjects } from "../../../src/session/damaged-objects.ts";
import type { Logger } from "../../../src/logger.ts";

const ID = requireSessionId("0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55");
const FILE = "SessionObject/0a1b.sqlite";

const failedBy = (message: string) =>
  new UnavailableError(undefined, { cause: new Error(message) });
const OPENING = failedBy("internal error; reference = jg7asv9aputjvr6aho46rg2t");

function objects({ isSound = true, ok = true } = {}) {
  const done: string[] = [];
  const warn = vi.fn();
  const damaged = new DamagedObjects({
    nameOf: () => "0a1b",
    nameOfShard: (shard) => (shard === 3 ? "0c2d" : undefined),
    empty: async (file) => {
      done.push(file);
      return { ok };
    },
    log: { warn } as unknown as Logger,
  });
  const object = {
    probe: () => (isSound ? Promise.resolve() : Promise.reject(new Error("disk is full"))),
    abort: async () => {
      done.push("abort");
      throw new Error("aborted");
    },
  };
  return { done, warn, damaged, drop: (failure: unknown) => damaged.drop(ID, failure, object) };
}

it("drops the files of an object that fails while another can be opened, and forgets the object", async () => {
  const failures = [
    OPENING,
    failedBy("database disk image is malformed: SQLITE_CORRUPT"),
    failedBy("no such column: seq at offset 30: SQLITE_ERROR"),
    failedBy("attempt to write a readonly database: SQLITE_READONLY"),
    failedBy(UNREADABLE),
  ];
  for (const failure of failures) {
    const { done, warn, drop } = objects();
    expect(await drop(failure)).toBe(true);
    expect(done).toEqual(["abort", `${FILE}-wal`, FILE, `${FILE}-shm`, "abort"]);
    expect(warn).toHaveBeenCalledExactlyOnceWith("storage.dropped", { file: FILE });
  }
});

it("drops nothing where no object can be opened, as on a full disk", async () => {
  const { done, drop } = objects({ isSound: false });
  expect(await drop(OPENING)).toBe(false);
  expect(done).toEqual([]);
});

it.each([
  failedBy("Network connection lost."),
  failedBy("TypeError: x is not a function"),
  new UnavailableError(),
  new Error("internal error; reference = a"),
])("neither drops nor names files after %s", async (failure) => {
  const { done, warn, damaged, drop } = objects();
  expect(await drop(failure)).toBe(false);
  damaged.report(ID, failure);
  expect([done, warn.mock.calls]).toEqual([[], []]);
});

it("does not say that files are dropped that could not be", async () => {
  const { warn, drop } = objects({ ok: false });
  expect(await drop(OPENING)).toBe(false);
  expect(warn).not.toHaveBeenCalled();
});

it("names the file of a directory shard whose storage fails, and no other", () => {
  const { warn, damaged } = objects();
  damaged.reportShard(3, new Error("internal error; reference = jg7asv9aputjvr6aho46rg2t"));
  damaged.reportShard(3, new Error("directory shard 3 did not answer in 5000 ms"));
  damaged.reportShard(4, new Error("internal error; reference = jg7asv9aputjvr6aho46rg2t"));
  const file = "DirectoryObject/0c2d.sqlite";
  expect(warn).toHaveBeenCalledExactlyOnceWith("storage.failed", { file });
});

it("names the file of an object whose storage fails", () => {
  const { warn, damaged } = objects();
  damaged.report(ID, OPENING);
  expect(warn).toHaveBeenCalledExactlyOnceWith("storage.failed", { file: FILE });
});
