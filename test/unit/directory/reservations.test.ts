/** The limit per subject, with the index read at moments that a test chooses. */
import { expect, it } from "vitest";
import { RESERVATION_MS } from "../../../src/core/limits.ts";
import { Reservations } from "../../../src/directory/reservations.ts";

const now = () => 0;

/** An index whose count is read, and then held back until `answer`. */
function slowIndex(indexed: Set<string>) {
  const read = Promise.withResolvers<void>();
  const answer = Promise.withResolvers<void>();
  const count = async (except: readonly string[]) => {
    const counted = [...indexed].filter((id) => !except.includes(id)).length;
    read.resolve();
    await answer.promise;
    return counted;
  };
  return { count, read: read.promise, answer: () => answer.resolve() };
}

it("counts a session once that is indexed and has not given its place back", async () => {
  const places = new Reservations();
  const indexed = new Set<string>();
  const count = async (except: readonly string[]) =>
    [...indexed].filter((id) => !except.includes(id)).length;
  expect(await places.admit("a", "1", 2, count, now)).toBe(true);
  indexed.add("1");
  expect(await places.admit("a", "2", 2, count, now)).toBe(true);
  expect(await places.admit("a", "3", 2, count, now)).toBe(false);
});

it("counts a session that is indexed after the index was read and gives its place back", async () => {
  const places = new Reservations();
  const indexed = new Set<string>();
  expect(await places.admit("a", "1", 1, async () => 0, now)).toBe(true);
  const index = slowIndex(indexed);
  const second = places.admit("a", "2", 1, index.count, now);
  await index.read;
  indexed.add("1");
  places.release("a", "1");
  index.answer();
  expect(await second).toBe(false);
});

it("admits up to the limit and not beyond, for each subject apart", async () => {
  const places = new Reservations();
  const none = async () => 0;
  const admit = (subject: string, id: string) => places.admit(subject, id, 2, none, now);
  expect([await admit("a", "1"), await admit("a", "2"), await admit("a", "3")]).toEqual([
    true,
    true,
    false,
  ]);
  expect(await admit("b", "4")).toBe(true);
  places.release("a", "1");
  places.release("c", "1");
  expect(await admit("a", "3")).toBe(true);
  expect(await admit("a", "1")).toBe(false);
  expect(await places.admit("d", "5", 2, async () => 2, now)).toBe(false);
  expect(await places.admit("d", "5", 2, async () => 1, now)).toBe(true);
});

it("decides one after the other, so that two callers at once do not get the same place", async () => {
  const places = new Reservations();
  const index = slowIndex(new Set());
  const both = ["1", "2"].map((id) => places.admit("a", id, 1, index.count, now));
  await index.read;
  index.answer();
  expect(await Promise.all(both)).toEqual([true, false]);
});

it("decides a third one after the second, which waited for the first", async () => {
  const places = new Reservations();
  const [first, second] = [slowIndex(new Set()), slowIndex(new Set())];
  const one = places.admit("a", "1", 2, first.count, now);
  const two = places.admit("a", "2", 2, second.count, now);
  await first.read;
  first.answer();
  expect(await one).toBe(true);
  await second.read;
  const three = places.admit("a", "3", 2, async () => 0, now);
  await Promise.resolve();
  second.answer();
  expect(await Promise.all([two, three])).toEqual([true, false]);
});

it("goes on after a decision whose count failed, which takes no place", async () => {
  const places = new Reservations();
  const failing = () => Promise.reject(new Error("down"));
  const first = places.admit("a", "1", 1, failing, now);
  const second = places.admit("a", "2", 1, async () => 0, now);
  await expect(first).rejects.toThrow("down");
  expect(await second).toBe(true);
});

it("gives a place to others once its time is up, counted from when it was given", async () => {
  const places = new Reservations();
  let time = 0;
  const clock = () => time;
  const none = async () => 0;
  const slow = async () => {
    time = 1000;
    return 0;
  };
  expect(await places.admit("a", "1", 1, slow, clock)).toBe(true);
  time = 1000 + RESERVATION_MS - 1;
  expect(await places.admit("a", "2", 1, none, clock)).toBe(false);
  time += 1;
  const seen: (readonly string[])[] = [];
  const count = async (except: readonly string[]) => {
    seen.push(except);
    return 0;
  };
  expect(await places.admit("a", "2", 1, count, clock)).toBe(true);
  expect(seen).toEqual([[]]);
});

it("keeps nothing of a subject that has no place and asks for none: strangers name ever more of them", async () => {
  const places = new Reservations();
  let at = 0;
  const admit = (id: string, indexed: number) =>
    places.admit(
      "a",
      id,
      1,
      async () => indexed,
      () => at,
    );
  const first = admit("1", 1);
  expect(places.size).toBe(1);
  expect([await first, places.size]).toEqual([false, 0]);
  await expect(
    places.admit(
      "a",
      "1",
      1,
      () => Promise.reject(new Error("down")),
      () => at,
    ),
  ).rejects.toThrow("down");
  expect(places.size).toBe(0);
  expect([await admit("1", 0), places.size]).toEqual([true, 1]);
  places.release("a", "2");
  expect(places.size).toBe(1);
  places.release("a", "1");
  expect(places.size).toBe(0);
  await admit("1", 0);
  at += RESERVATION_MS;
  expect([await admit("2", 1), places.size]).toEqual([false, 0]);
});
