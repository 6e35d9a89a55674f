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
const FULL = failedBy("database or disk is full: SQLITE_FULL");

interface World {
  /** The errors of the calls of the probe, of the removal and of the directory, in order; undefined: that call succeeds. */
  readonly probes?: readonly (Error | undefined)[];
  readonly removals?: readonly (Error | undefined)[];
  readonly unlisting?: Error;
  readonly ok?: boolean;
}

function objects({ probes = [], removals = [OPENING], unlisting, ok = true }: World = {}) {
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
  const step = (name: string, failures: readonly (Error | undefined)[]) => {
    let calls = 0;
    return async () => {
      done.push(name);
      const failure = failures[calls++];
      if (failure) throw failure;
    };
  };
  const object = {
    probe: step("probe", probes),
    abort: step(
      "abort",
      Array.from({ length: 9 }, () => new Error("aborted")),
    ),
    remove: step("remove", removals),
    unlist: step("unlist", [unlisting]),
  };
  return {
    done,
    warn,
    damaged,
    object,
    end: (failure: unknown) => damaged.end(ID, failure, object),
  };
}

const TRIED_AGAIN = ["probe", "abort", "remove", "probe"];

it("drops the file of an object that fails twice while another can store, once it is not listed", async () => {
  const failures = [
    OPENING,
    failedBy("database disk image is malformed: SQLITE_CORRUPT"),
    failedBy("no such column: seq at offset 30: SQLITE_ERROR"),
    failedBy("attempt to write a readonly database: SQLITE_READONLY"),
    failedBy(UNREADABLE),
  ];
  for (const failure of failures) {
    const { done, warn, end } = objects({ removals: [failure] });
    expect(await end(failure)).toBe(true);
    expect(done).toEqual([...TRIED_AGAIN, "unlist", "abort", FILE, "abort", "unlist", "remove"]);
    expect(warn).toHaveBeenCalledExactlyOnceWith("storage.dropped", { file: FILE });
  }
});

it("drops nothing where no other object can store", async () => {
  const { done, end } = objects({ probes: [FULL] });
  expect(await end(OPENING)).toBe(false);
  expect(done).toEqual(["probe"]);
});

it("takes a full disk for no damage, whether or not another object could store a moment later", async () => {
  const { done, end } = objects();
  expect(await end(FULL)).toBe(false);
  expect(done).toEqual([]);
});

it("drops nothing where the deletion goes through the second time", async () => {
  const { done, warn, end } = objects({ removals: [] });
  expect(await end(OPENING)).toBe(true);
  expect(done).toEqual(["probe", "abort", "remove"]);
  expect(warn).not.toHaveBeenCalled();
});

it.each([
  ["the disk is full", { removals: [FULL] }],
  ["the object is lost", { removals: [failedBy("Network connection lost.")] }],
  ["no other object can store any more", { probes: [undefined, FULL] }],
])("drops nothing where %s at the second try", async (_, world) => {
  const { done, end } = objects(world);
  expect(await end(OPENING)).toBe(false);
  expect(done).toEqual(TRIED_AGAIN.slice(0, done.length));
});

it("leaves no entry of a session whose object tells the directory once more before its file is dropped", async () => {
  const { done, damaged, object } = objects({ removals: [OPENING] });
  let isListed = true;
  const unlist = async () => void (isListed = false);
  const abort = async () => {
    // A client has used the session, and its object has told that before it was out of memory.
    if (!done.includes(FILE)) isListed = true;
  };
  expect(await damaged.end(ID, OPENING, { ...object, unlist, abort })).toBe(true);
  expect(isListed).toBe(false);
});

it("drops nothing that the directory would still list, and says so", async () => {
  const unlisting = new Error("the shard is down");
  const { done, end } = objects({ unlisting });
  await expect(end(OPENING)).rejects.toBe(unlisting);
  expect(done).toEqual([...TRIED_AGAIN, "unlist"]);
});

it.each([
  failedBy("Network connection lost."),
  failedBy("TypeError: x is not a function"),
  new UnavailableError(),
  new Error("internal error; reference = a"),
])("neither drops nor names files after %s", async (failure) => {
  const { done, warn, damaged, end } = objects();
  expect(await end(failure)).toBe(false);
  damaged.report(ID, failure);
  expect([done, warn.mock.calls]).toEqual([[], []]);
});

it("does not say that a file is dropped that could not be", async () => {
  const { warn, end } = objects({ ok: false });
  expect(await end(OPENING)).toBe(false);
  expect(warn).not.toHaveBeenCalled();
});

it("names the file of a directory shard whose storage fails, and no other", () => {
  const { warn, damaged } = objects();
  damaged.reportShard(3, new Error("internal error; reference = jg7asv9aputjvr6aho46rg2t"));
  expect(warn).toHaveBeenCalledTimes(1);
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
