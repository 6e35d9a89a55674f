/** `holdfast import`: copies ToolHive's sessions from Redis into a running service. */
import { readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { HoldfastError } from "../../src/client/error.ts";
import type { NewSession } from "../../src/core/api.ts";
import { GATEWAY_KEYS, isKnownSessionType, SESSION_TYPE_TASK } from "../../src/core/content.ts";
import { MAX_TTL_MS, MIN_TTL_MS } from "../../src/core/limits.ts";
import { OptionError, readNumber } from "../command-line.ts";
import { CommandFailure, STATUS } from "./failure.ts";
import { changesNumbers } from "./json-numbers.ts";
import { redisAt } from "./redis-address.ts";
import type { Found, ImportedRecord, RedisSource } from "./redis-source.ts";
import { textOf, type Call, type Given, type Verb } from "./verb.ts";

/** Sessions that are made at a time. */
const AT_ONCE = 8;
/** Records between two lines that say how far it is. */
const PROGRESS = 10_000;
/** ToolHive's prefixes: of whole sessions, and of metadata maps. */
const PREFIX = { sessions: "thv:proxy:session:", maps: "thv:vmcp:session:" } as const;
/** ToolHive's mark of a session that nobody owns. */
const UNOWNED = "unauthenticated";

/** Counts the records by their outcome. */
interface Counts {
  made: number;
  alreadyThere: number;
  skipped: Record<string, number>;
  failed: number;
}

/** The outcome of one record. `why` gives the reason if the record became no session. */
type Outcome =
  | { readonly kind: "made" | "alreadyThere" }
  | { readonly kind: "skipped" | "failed"; readonly why: string };

export const importSessions: Verb = {
  arguments: "",
  summary: "copies ToolHive's sessions from Redis into the service; it may be run again",
  example: "holdfast import --redis redis://127.0.0.1:6379/0 --resume import.done",
  options: {
    redis: {
      type: "string",
      value: "URL",
      help: "redis://user@host:port/db, or rediss://; its password is in THV_SESSION_REDIS_PASSWORD",
    },
    cluster: { type: "boolean", help: "its hosts, with commas between, are nodes of a Cluster" },
    sentinel: { type: "string", value: "MASTER", help: "its hosts are Sentinels of this master" },
    "sentinel-user": { type: "string", value: "USER", help: "the user at the Sentinels" },
    ca: { type: "string", value: "FILE", help: "trusts these authorities alone, as PEM" },
    insecure: { type: "boolean", help: "accepts every certificate" },
    prefix: { type: "string", value: "PREFIX", help: `the start of the keys (${PREFIX.sessions})` },
    maps: { type: "boolean", help: `the records are metadata maps (${PREFIX.maps})` },
    ttl: { type: "string", value: "SECONDS", help: "in place of the time that each has left" },
    subject: { type: "string", value: "SUBJECT", help: "the owner of all; for admins" },
    "subject-from": {
      type: "string",
      value: "KEY",
      help: "the metadata key that names the owner; for admins",
    },
    upstream: {
      type: "string",
      value: "NAME",
      help: "the gateway's name of the MCP server behind ToolHive's proxy",
    },
    resume: {
      type: "string",
      value: "FILE",
      help: "keeps the ids that are done, and passes over them",
    },
    "dry-run": { type: "boolean", help: "looks, and makes nothing" },
  },
  async run(call) {
    const plan = planOf(call.given);
    const done = doneIn(plan.file);
    const source = await opened(call);
    const counts: Counts = { made: 0, alreadyThere: 0, skipped: {}, failed: 0 };
    try {
      await copyAll(call, plan, source, done, counts);
    } catch (failure) {
      throw ofRedis(failure) ?? failure;
    } finally {
      await source.close();
      // Also of a run that ends early: what is made is made.
      await report(call, plan, counts);
    }
    if (counts.failed > 0) {
      throw new CommandFailure(
        STATUS.failed,
        `${counts.failed} records gave no session; see above`,
      );
    }
  },
};

interface Plan {
  readonly isDry: boolean;
  readonly ttlSeconds: number | undefined;
  readonly subject: string | undefined;
  readonly subjectFrom: string | undefined;
  /** The name in UPSTREAMS of the server that `backend_url` is an address of. */
  readonly upstream: string | undefined;
  /** Holds the ids that are done, one a line. */
  readonly file: string | undefined;
}

function planOf(given: Given): Plan {
  const subject = textOf(given, "subject");
  const subjectFrom = textOf(given, "subject-from");
  if (subject !== undefined && subjectFrom !== undefined) {
    throw new OptionError("--subject and --subject-from exclude each other");
  }
  const ttlSeconds = readNumber("--ttl", textOf(given, "ttl"), {
    least: MIN_TTL_MS / 1000,
    most: MAX_TTL_MS / 1000,
  });
  const isDry = given["dry-run"] === true;
  const upstream = textOf(given, "upstream");
  return { isDry, ttlSeconds, subject, subjectFrom, upstream, file: textOf(given, "resume") };
}

function doneIn(file: string | undefined): Set<string> {
  if (file === undefined) return new Set();
  try {
    // A run that was killed may have left a part of an id at the end, which is none.
    return new Set(readFileSync(file, "utf8").split("\n"));
  } catch (failure) {
    if ((failure as NodeJS.ErrnoException).code === "ENOENT") return new Set();
    throw failure;
  }
}

async function opened({ connection, given, output }: Call): Promise<RedisSource> {
  const isMaps = given["maps"] === true;
  const options = {
    ...redisAt({
      url: textOf(given, "redis"),
      isCluster: given["cluster"] === true,
      master: textOf(given, "sentinel"),
      sentinelUser: textOf(given, "sentinel-user"),
      caFile: textOf(given, "ca"),
      isInsecure: given["insecure"] === true,
      env: process.env,
    }),
    keyPrefix: textOf(given, "prefix") ?? PREFIX[isMaps ? "maps" : "sessions"],
    isMaps,
    signal: connection.signal,
    onConnectionProblem: (problem: string) => output.remark(problem),
  };
  try {
    const { openSource } = await import("./redis-source.ts");
    return await openSource(options);
  } catch (failure) {
    throw ofRedis(failure) ?? failure;
  }
}

/** A failure of Redis in one line; undefined for any other. */
function ofRedis(failure: unknown): Error | undefined {
  if (!(failure instanceof Error)) return undefined;
  const { name, message } = failure;
  if (name === "RedisConfigError") return new OptionError(`--redis: ${message}`);
  if ((failure as NodeJS.ErrnoException).code === "ERR_MODULE_NOT_FOUND") {
    const line = "import needs the package ioredis beside this one: npm install ioredis";
    return new CommandFailure(STATUS.failed, line);
  }
  if (!("code" in failure) || failure.code !== "unavailable" || failure instanceof HoldfastError) {
    return undefined;
  }
  const isRefused = "hopeless" in failure && failure.hopeless === true;
  const status = isRefused ? STATUS.refused : STATUS.noAnswer;
  return new CommandFailure(status, `${message} (--redis)`);
}

async function copyAll(
  call: Call,
  plan: Plan,
  source: RedisSource,
  done: ReadonlySet<string>,
  counts: Counts,
): Promise<void> {
  const { output, connection } = call;
  // SCAN may show a key twice, and two forms of one UUID are one session.
  const seen = new Map<string, string>();
  const records = source.records();
  let looked = 0;
  const work = async () => {
    for (;;) {
      const { value: found, done: isEnd } = await records.next();
      if (isEnd === true) return;
      connection.signal.throwIfAborted();
      if (++looked % PROGRESS === 0) output.remark(`${looked} records, ${inWords(counts)}`);
      const id = found.kind === "record" ? found.record.id : found.key;
      const other = seen.get(id);
      if (other === found.key) continue;
      seen.set(id, found.key);
      const outcome: Outcome =
        other === undefined
          ? await outcomeOf(call, plan, found, done)
          : { kind: "skipped", why: "its UUID has another key too" };
      count(counts, outcome);
      if ("why" in outcome) output.remark(`${outcome.kind} ${found.key}: ${outcome.why}`);
      else if (plan.file !== undefined && !plan.isDry && !done.has(id)) {
        await appendFile(plan.file, `${id}\n`);
      }
    }
  };
  try {
    await Promise.all(Array.from({ length: AT_ONCE }, work));
  } finally {
    await records.return();
  }
}

async function outcomeOf(
  call: Call,
  plan: Plan,
  found: Found,
  done: ReadonlySet<string>,
): Promise<Outcome> {
  if (found.kind === "broken") return { kind: "failed", why: found.cause };
  if (found.kind === "skipped") return { kind: "skipped", why: found.reason };
  const { record } = found;
  if (done.has(record.id)) return { kind: "alreadyThere" };
  const session = sessionFor(record, plan, Date.now());
  if (typeof session === "string") return { kind: "skipped", why: session };
  try {
    return { kind: await make(call, plan, session) };
  } catch (failure) {
    // Of this session alone: its metadata may be too large, say.
    const isOwn = failure instanceof HoldfastError && [400, 409, 413, 422].includes(failure.status);
    if (!isOwn) throw failure;
    return { kind: "failed", why: failure.message };
  }
}

/** The session to make, or why there is none. */
function sessionFor(record: ImportedRecord, plan: Plan, now: number): NewSession | string {
  const { id, type, metadata, dataJson, endsAt } = record;
  // A task is what the gateway makes of a call: nobody else makes one.
  if (!isKnownSessionType(type) || type === SESSION_TYPE_TASK)
    return `the service has no type "${type}"`;
  const leftMs = endsAt === undefined ? undefined : endsAt - now;
  if (leftMs !== undefined && leftMs < MIN_TTL_MS) return "it has expired";
  if (dataJson !== undefined && changesNumbers(dataJson)) {
    return "its data has a number that the service would round";
  }
  const leftSeconds = leftMs === undefined ? undefined : Math.min(leftMs, MAX_TTL_MS) / 1000;
  const subject =
    plan.subjectFrom === undefined ? plan.subject : ownerIn(metadata[plan.subjectFrom]);
  if (plan.subjectFrom !== undefined && subject === undefined) {
    return `its metadata name no owner in ${plan.subjectFrom}`;
  }
  return {
    id,
    type,
    metadata: { ...metadata, ...upstreamFor(record, plan) },
    ...(dataJson !== undefined && { data: JSON.parse(dataJson) as unknown }),
    ttlSeconds: plan.ttlSeconds ?? leftSeconds,
    subject,
  };
}

/** The gateway serves a session under its own name of the upstream alone; ToolHive's proxy has one upstream. */
function upstreamFor({ metadata }: ImportedRecord, { upstream }: Plan): Record<string, string> {
  const isOfProxy = GATEWAY_KEYS.backendUrl in metadata || GATEWAY_KEYS.initBody in metadata;
  return isOfProxy && upstream !== undefined ? { [GATEWAY_KEYS.upstream]: upstream } : {};
}

/** ToolHive binds a session to `issuer NUL subject`; the service writes that as `issuer#subject`. */
function ownerIn(binding: string | undefined): string | undefined {
  if (binding === undefined || binding === "" || binding === UNOWNED) return undefined;
  return binding.replace("\0", "#");
}

async function make(
  { connection: { client, signal, answered } }: Call,
  { isDry }: Plan,
  session: NewSession,
): Promise<"made" | "alreadyThere"> {
  try {
    if (isDry) await client.get(session.id ?? "", { touch: false, signal });
    else await client.create(session, { signal });
    answered();
    return isDry ? "alreadyThere" : "made";
  } catch (failure) {
    if (!(failure instanceof HoldfastError)) throw failure;
    const { code, lostAnswer } = failure;
    if (code !== (isDry ? "session_not_found" : "session_already_exists")) throw failure;
    answered();
    // An earlier try of this call made it, and its answer was lost.
    return isDry || lostAnswer ? "made" : "alreadyThere";
  }
}

function count(counts: Counts, outcome: Outcome): void {
  if (outcome.kind !== "skipped") counts[outcome.kind]++;
  else counts.skipped[outcome.why] = (counts.skipped[outcome.why] ?? 0) + 1;
}

function inWords({ made, alreadyThere, skipped, failed }: Counts): string {
  const total = Object.values(skipped).reduce((sum, n) => sum + n, 0);
  return `made ${made}, already there ${alreadyThere}, skipped ${total}, failed ${failed}`;
}

async function report({ output }: Call, { isDry }: Plan, counts: Counts): Promise<void> {
  const reasons = Object.entries(counts.skipped).map(([why, n]) => `\n  skipped ${n}: ${why}`);
  const would = isDry ? "a dry run, nothing is made: " : "";
  await output.result(`${would}${inWords(counts)}${reasons.join("")}`, {
    dryRun: isDry,
    ...counts,
  });
}
