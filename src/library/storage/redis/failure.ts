/**
 * Failures of Redis in words that are safe to show. The client's errors carry the command with its
 * arguments, which hold whole sessions and, for AUTH and HELLO, the password. So these errors keep
 * only the code.
 */
import { UnavailableError } from "../../../core/errors.ts";

/** Redis's own error codes: the first word of its error replies. */
const REPLIES: Readonly<Record<string, string>> = {
  OOM: "Redis is out of memory and refused the write",
  READONLY: "Redis answered as a read-only replica",
  LOADING: "Redis is still loading its data",
  NOAUTH: "Redis asks for a password, and none was given",
  WRONGPASS: "Redis refused the user name or password",
  NOPERM: "Redis does not allow this user the command or the key",
  MASTERDOWN: "Redis has lost its master",
  CLUSTERDOWN: "The Redis cluster is down",
  MOVED: "The Redis cluster keeps moving the key",
  ASK: "The Redis cluster keeps moving the key",
  TRYAGAIN: "The Redis cluster is moving the key",
  BUSY: "Redis is busy with a script",
  MISCONF: "Redis cannot persist and refuses writes",
  NOREPLICAS: "Redis has too few replicas and refuses writes",
  WRONGTYPE: "The key holds something other than a session",
};

/** Failures that another try cannot mend, so no caller waits for them to pass. */
const HOPELESS = new Set(["NOAUTH", "WRONGPASS", "NOPERM"]);

/** The client's message when it may not queue and cannot write. */
const UNSENT = /enableOfflineQueue options is false$/;

const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|HOSTNAME_MISMATCH/;

type RedisFailureKind =
  /** The client had no connection to write to: the command was never sent. */
  | "unsent"
  /** Redis answered with an error: it did not carry the command out. */
  | "refused"
  /** The connection broke or was not there: Redis may have carried the command out. */
  | "lost"
  /** No answer in time: Redis may have carried the command out. */
  | "late";

export class RedisFailure extends UnavailableError {
  readonly kind: RedisFailureKind;
  /** Whether another try cannot mend it. */
  readonly hopeless: boolean;
  /** The code of Redis's error, if it answered with one. */
  readonly reply: string | undefined;

  constructor(kind: RedisFailureKind, message: string, hopeless = false, reply?: string) {
    super(message);
    this.kind = kind;
    this.hopeless = hopeless;
    this.reply = reply;
  }
}

/** Reads one of the client's errors. The result holds no part of it but its code. */
export function redisFailure(error: unknown): RedisFailure {
  if (error instanceof RedisFailure) return error;
  // A Cluster reports the last node's error inside its own.
  const inner = member(error, "lastNodeError");
  if (inner !== undefined && inner !== null) return redisFailure(inner);

  const name = String(member(error, "name") ?? "");
  const message = String(member(error, "message") ?? "");
  const code = String(member(error, "code") ?? "");
  if (name === "ReplyError") {
    const reply = /^[A-Z]{2,20}\b/.exec(message)?.[0] ?? "ERR";
    // Envoy and twemproxy have no code of their own for a wrong password.
    if (reply === "ERR" && commandOf(error) === "auth")
      return new RedisFailure("refused", `${REPLIES["WRONGPASS"]} (ERR).`, true, reply);
    return new RedisFailure("refused", inWords(reply), HOPELESS.has(reply), reply);
  }
  if (CERTIFICATE.test(code)) {
    return new RedisFailure("lost", `The certificate of Redis was not accepted (${code}).`, true);
  }
  if (UNSENT.test(message)) return new RedisFailure("unsent", "There is no connection to Redis.");
  if (message === "Command timed out") {
    return new RedisFailure("late", "Redis did not answer in time.");
  }
  if (message.startsWith("All sentinels are unreachable")) {
    const reply = /Last error: ([A-Z]{2,20})\b/.exec(message)?.[1];
    const why = reply === undefined ? "" : ` The last one that was asked: ${inWords(reply)}`;
    return new RedisFailure("lost", `No Sentinel names a master.${why}`);
  }
  if (/^E[A-Z]{3,20}$/.test(code))
    return new RedisFailure("lost", `Redis cannot be reached (${code}).`);
  return new RedisFailure("lost", "The connection to Redis was lost.");
}

function inWords(reply: string): string {
  return `${REPLIES[reply] ?? "Redis refused the command"} (${reply}).`;
}

/** Whether the client ended a round through the Sentinels without a master and begins another. */
export function isRoundOfSentinels(error: unknown): boolean {
  const message = String(member(error, "message") ?? "");
  return message.startsWith("All sentinels are unreachable. Retrying");
}

/** Whether Redis refused to choose the database: the client would go on in database 0. */
export function isSelectRefusal(error: unknown): boolean {
  return commandOf(error) === "select";
}

function commandOf(error: unknown): unknown {
  return member(member(error, "command"), "name");
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
