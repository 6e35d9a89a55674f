import { expect, it } from "vitest";
import { requireSessionId, type SessionId } from "../../../src/core/id.ts";
import { NOBODY, StoredObjects } from "../../../src/session/stored-objects.ts";

const id = (n: number): SessionId =>
  requireSessionId(`00000000-0000-4000-8000-${String(n).padStart(12, "0")}`);

/** A folder with these files, in which one file has been seen; `answer` may say otherwise, or fail. */
async function folder(answer: (n: number) => number) {
  const asked: number[] = [];
  const stored = new StoredObjects({
    nameOf: (one) => String(Number(one.slice(-12))),
    head: async (file) => {
      const n = Number(/^(\d+)\.sqlite$/.exec(file)?.[1]);
      if (n === SEEN) return { status: 200 };
      asked.push(n);
      return { status: answer(n) };
    },
  });
  await stored.addressOf(id(SEEN));
  return { stored, asked };
}

const SEEN = 999_999;

it("asks one object about every id that has no file", async () => {
  const { stored, asked } = await folder(() => 404);
  expect(await stored.addressOf(id(1))).toBe(NOBODY);
  expect(await stored.addressOf(id(2))).toBe(NOBODY);
  expect(asked).toEqual([1, 2]);
});

it("believes the folder once a file is where it is looked for, and asks the object itself until then", async () => {
  const files = new Set<string>();
  const head = async (file: string) => ({ status: files.has(file) ? 200 : 404 });
  const stored = new StoredObjects({ nameOf: (one) => one, head });
  expect(await stored.addressOf(id(1))).toBe(id(1));
  // The object was asked, and its file is somewhere else.
  expect(await stored.addressOf(id(2))).toBe(id(2));
  expect(await stored.addressOf(id(3))).toBe(id(3));
  files.add(`${id(3)}.sqlite`);
  expect(await stored.addressOf(id(4))).toBe(NOBODY);
});

it("looks once for an id that has a file, and anew for one that had none", async () => {
  let status = 404;
  const { stored, asked } = await folder(() => status);
  await stored.addressOf(id(1));
  status = 200;
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(asked).toHaveLength(2);
});

it("does not look for the id of a session that was made here", async () => {
  const { stored, asked } = await folder(() => 404);
  stored.remember(id(1));
  expect(await stored.addressOf(id(1))).toBe(id(1));
  expect(asked).toEqual([]);
});

it.each([403, 500])(
  "asks the object itself if the folder answers %i, and remembers nothing",
  async (status) => {
    const { stored, asked } = await folder(() => status);
    expect(await stored.addressOf(id(1))).toBe(id(1));
    expect(await stored.addressOf(id(1))).toBe(id(1));
    expect(asked).toHaveLength(2);
  },
);

it("asks the object itself if the folder cannot be asked", async () => {
  const { stored } = await folder(() => {
    throw new Error("too many open files");
  });
  expect(await stored.addressOf(id(1))).toBe(id(1));
});

it("forgets ids that nobody asks about, and keeps the one that is in use", async () => {
  const { stored, asked } = await folder(() => 200);
  for (let n = 0; n <= 20_000; n++) {
    stored.remember(id(n));
    // Somebody uses the first all the time.
    if (n % 100 === 0) expect(await stored.addressOf(id(0))).toBe(id(0));
  }
  expect(asked).toEqual([]);
  await stored.addressOf(id(1));
  expect(asked).toEqual([1]);
});
