import { expect, it } from "vitest";
import { Tally } from "../../attack/tally.ts";
import { differences } from "../../attack/victim.ts";

const answer = (status: number, headers = "", body = "") => ({ status, headers, body });

it("tells a refusal with Retry-After from a failure, and a hang from a closed connection", () => {
  const tally = new Tally();
  const answers = [
    answer(201),
    answer(413, "", "too large"),
    answer(503, "content-type\ntext/plain\nretry-after\n1"),
    answer(503),
    answer(500),
    "hang",
    "ECONNRESET",
  ];
  for (const one of answers) tally.add(one);
  expect({ ...tally, statuses: undefined }).toEqual({
    attempts: 7,
    refused: 1,
    failed: 2,
    hangs: 1,
    closed: 1,
    longest: 9,
    statuses: undefined,
  });
});

const events = (...numbers: readonly number[]) =>
  numbers.map((n) => ({ id: `id-${n}`, data: `event ${n}` }));

it("finds what a user of the service lost, has twice, or has out of order", () => {
  expect(differences("log", events(1, 2, 3), events(1, 3))).toEqual({ count: 0, wrong: [] });
  expect(differences("log", events(1), events(1, 2, 3))).toEqual({
    count: 2,
    wrong: ["log lacks 2, the first is id-2"],
  });
  const twice = [...events(1), { id: "id-2", data: "event 1" }];
  expect(differences("log", twice, events(1))).toMatchObject({ count: 1 });
  expect(differences("log", events(2, 1), events(1, 2))).toEqual({
    count: 1,
    wrong: ["log is out of order"],
  });
});
