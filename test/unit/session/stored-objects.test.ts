import { expect, it } from "vitest";
import { requireSessionId, type SessionId } from "../../../src/core/id.ts";
import { NOBODY, StoredObjects } from "../../../src/session/stored-objects.ts";

const id = (n: number): SessionId =>
  requireSessionId(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);

/** A folder that answers for each file with this status, or fails. */
function folder(answer: () => number) {
  const asked: string[] = [];
  const stored = new StoredObjects({
    nameOf: (one) => `hex-of-${Number(one.slice(-12))}`,
    head: async (file) => {
      asked.push(file);
      return { status: answer() };
    },
  });
  return { stored, asked };
}

it("asks one object about every id that has no file", async () => {
  const { stored, asked } = folder(() => 404);
  expect(await stored.addressOf(id(1))).toBe(NOBODY);
  expect(await stored.addressOf(id(2))).toBe(NOBODY);
  expect(asked).toEqual(["hex-of-1.sqlite", "hex-of-2.sqlite"]);
});

it("looks once for an id that has a file, and anew for one that had none", async () => {
  let status = 404;
  const { stored, asked } = folder(() => status);
  await stored.addressOf(id(1));
  status = 200;
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(asked).toHaveLength(2);
});

it("does not look for the id of a session that was made here", async () => {
  const { stored, asked } = folder(() => 404);
  stored.remember(id(1));
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(asked).toEqual([]);
});

it.each([403, 500])(
  "asks the object itself if the folder answers %i, and remembers nothing",
  async (status) => {
    const { stored, asked } = folder(() => status);
    expect(await stored.addressOf(id(1))).toBe(id(1));
    expect(await stored.addressOf(id(1))).toBe(id(1));
    expect(asked).toHaveLength(2);
  },
);

it("asks the object itself if the folder cannot be asked", async () => {
  const { stored } = folder(() => {
    throw new Error("too many open files");
  });
  expect(await stored.addressOf(id(1))).toBe(id(1));
});

it("forgets ids that nobody asks about, and keeps the one that is in use", async () => {
  const { stored, asked } = folder(() => 200);
  for (let n = 0; n <= 20_000; n++) {
    stored.remember(id(n));
    // Somebody uses the first all the time.
    if (n % 100 === 0) expect(await stored.addressOf(id(0))).toBe(id(0));
  }
  expect(asked).toEqual([]);
  await stored.addressOf(id(1));
  expect(asked).toEqual(["hex-of-1.sqlite"]);
});
