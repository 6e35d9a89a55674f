import { expect, it } from "vitest";
import {
  FAILURES,
  failureOf,
  mayPass,
  UpstreamError,
} from "../../../../src/gateway/upstream/failure.ts";
import { firstReachable, type Replica } from "../../../../src/gateway/upstream/upstream.ts";

const replicas = ["a", "b", "c"].map((url): Replica => ({
  url,
  send: () => Promise.resolve("{}"),
}));
const unreachable = () => new UpstreamError(FAILURES.unreachable, { unreachable: true });

/** Asks the replicas in turn; each answers as its entry says. Returns the answer and who was asked. */
async function ask(answers: Record<string, string | Error>) {
  const asked: string[] = [];
  const answer = await firstReachable(replicas, async ({ url }) => {
    asked.push(url);
    const given = answers[url] ?? unreachable();
    if (given instanceof Error) throw given;
    return given;
  }).catch((failure: unknown) => failure);
  return { answer, asked };
}

it("asks the next replica only where no connection was made", async () => {
  expect(await ask({ b: "ok" })).toEqual({ answer: "ok", asked: ["a", "b"] });
  const refused = new UpstreamError(FAILURES.timedOut);
  expect(await ask({ a: refused })).toEqual({ answer: refused, asked: ["a"] });
  expect(await ask({})).toMatchObject({
    answer: { failure: FAILURES.unreachable },
    asked: ["a", "b", "c"],
  });
});

it.each([
  [200, true],
  [400, true],
  [401, false],
  [403, true],
  [404, false],
  [499, true],
  [500, false],
  [503, false],
])("lets a client see the JSON-RPC error of a %d: %s", (status, passes) => {
  expect(mayPass(status)).toBe(passes);
});

it("shows a client nothing of a failure that is not the upstream's", () => {
  expect(failureOf(new UpstreamError(FAILURES.timedOut))).toBe(FAILURES.timedOut);
  expect(failureOf(new TypeError("https://10.0.0.5/?token=secret"))).toBe(FAILURES.broken);
});
