import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { UnavailableError } from "../../../../../src/core/errors.ts";
import { redisFailure } from "../../../../../src/library/storage/redis/failure.ts";

/** An error as the client makes it: with the command and its arguments. */
function clientError(message: string, more: object = {}): Error {
  const command = { name: "hello", args: ["3", "AUTH", "alice", "hunter2"] };
  return Object.assign(new Error(message), { command, ...more });
}
const reply = (message: string) => clientError(message, { name: "ReplyError" });

describe("a failure of Redis", () => {
  it.each([
    ["OOM command not allowed when used memory > 'maxmemory'.", /out of memory.*\(OOM\)/],
    ["READONLY You can't write against a read only replica.", /read-only replica.*\(READONLY\)/],
    ["LOADING Redis is loading the dataset in memory", /still loading.*\(LOADING\)/],
    ["NOAUTH Authentication required.", /asks for a password.*\(NOAUTH\)/],
    [
      "WRONGPASS invalid username-password pair or user is disabled.",
      /refused the user.*\(WRONGPASS\)/,
    ],
    ["NOPERM this user has no permissions", /does not allow.*\(NOPERM\)/],
    ["CLUSTERDOWN The cluster is down", /cluster is down/],
    ["WRONGTYPE Operation against a key holding the wrong kind of value", /other than a session/],
    [
      "ERR unknown command 'GETEX', with args beginning with: 'hunter2'",
      /refused the command \(ERR\)/,
    ],
  ])("in words of its own: %s", (message, says) => {
    const failure = redisFailure(reply(message));
    expect(failure).toBeInstanceOf(UnavailableError);
    expect(failure.message).toMatch(says);
    expect(failure).toMatchObject({ code: "unavailable", status: 503, kind: "refused" });
  });

  it.each([
    [
      clientError("connect ECONNREFUSED 127.0.0.1:1", { code: "ECONNREFUSED" }),
      /cannot be reached \(ECONNREFUSED\)/,
    ],
    [
      clientError("self-signed", { code: "SELF_SIGNED_CERT_IN_CHAIN" }),
      /certificate.*not accepted/,
    ],
    [
      clientError("Stream isn't writeable and enableOfflineQueue options is false"),
      /no connection to Redis/,
    ],
    [clientError("Command timed out"), /did not answer in time/],
    [
      clientError("All sentinels are unreachable and retry is disabled. Last error: x"),
      /No Sentinel names a master\.$/,
    ],
    [
      clientError("All sentinels are unreachable. Last error: WRONGPASS invalid hunter2 pair"),
      /No Sentinel names a master\. .*refused the user name or password \(WRONGPASS\)\.$/,
    ],
    [clientError("Connection is closed."), /connection to Redis was lost/],
    ["not an error", /connection to Redis was lost/],
  ])("of the connection: %s", (error, says) => {
    expect(redisFailure(error).message).toMatch(says);
  });

  it("of a cluster is that of its last node", () => {
    const error = clientError("Failed to refresh slots cache.", {
      lastNodeError: reply("WRONGPASS no"),
    });
    expect(redisFailure(error).message).toMatch(/WRONGPASS/);
  });

  it("holds no secret, however deep one looks", () => {
    const failure = redisFailure(reply("ERR with args beginning with: 'hunter2'"));
    expect(inspect(failure, { depth: Infinity, showHidden: true })).not.toContain("hunter2");
  });
});
