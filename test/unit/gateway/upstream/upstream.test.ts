import { expect, it } from "vitest";
import { createLogger, type LogFields } from "../../../../src/logger.ts";
import {
  FAILURES,
  reportFailure,
  UpstreamError,
} from "../../../../src/gateway/upstream/failure.ts";
import { firstUnbroken, type Replica } from "../../../../src/gateway/upstream/upstream.ts";

const replicas = ["a", "b", "c"].map((url): Replica => ({
  url,
  send: () => Promise.resolve("{}"),
}));
const broken = () => new UpstreamError(FAILURES.unreachable, { broken: true });

/** Asks the replicas in turn; each answers as its entry says. Returns the answer and who was asked. */
async function ask(answers: Record<string, string | Error>) {
  const asked: string[] = [];
  const answer = await firstUnbroken(replicas, async ({ url }) => {
    asked.push(url);
    const given = answers[url] ?? broken();
    if (given instanceof Error) throw given;
    return given;
  }).catch((failure: unknown) => failure);
  return { answer, asked };
}

it("asks the next replica only where the connection broke", async () => {
  expect(await ask({ b: "ok" })).toEqual({ answer: "ok", asked: ["a", "b"] });
  const refused = new UpstreamError(FAILURES.timedOut);
  expect(await ask({ a: refused })).toEqual({ answer: refused, asked: ["a"] });
  expect(await ask({})).toMatchObject({
    answer: { failure: FAILURES.unreachable },
    asked: ["a", "b", "c"],
  });
});

it("shows a client nothing of a failure that is not the upstream's, and logs the upstream's status", () => {
  const lines: LogFields[] = [];
  const log = {
    ...createLogger("error"),
    warn: (_event: string, fields?: LogFields) => void lines.push(fields ?? {}),
  };
  const refused = new UpstreamError(FAILURES.refused, { status: 418 });
  expect(reportFailure(log, { name: "x" }, refused)).toBe(FAILURES.refused);
  const leaking = new TypeError("https://10.0.0.5/?token=secret");
  expect(reportFailure(log, { name: "x" }, leaking)).toBe(FAILURES.broken);
  const { message } = FAILURES.refused;
  expect(lines[0]).toEqual({
    upstream: "x",
    kind: "refused",
    failure: message,
    status: 418,
    cause: undefined,
  });
  expect(lines[1]).toMatchObject({ kind: "broken" });
});
