/** The limit per subject, with the index read at moments that a test chooses. */
import { expect, it } from "vitest";
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
