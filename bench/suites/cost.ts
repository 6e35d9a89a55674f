/** Counts how much each operation asks of the platform, and prices it. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { openStream } from "../client/streams.ts";
import { claim } from "../comparison.ts";
import { AWAKE_MS, KEYS, noCounts, type Counts, type Tally } from "../counting/counts.ts";
import { median, progress } from "../measure.ts";
import * as mcp from "../peers/mcp-sessions.ts";
import type { Claim, Report, Row } from "../report.ts";
import { RENEWED_FOR_MS } from "../../src/core/limits.ts";
import { makeSession, startVariant, type Server } from "../servers.ts";

/** Dollars, Workers Paid, as published in November 2026, beyond the included amounts. */
const PRICES = {
  workerRequest: 0.3e-6,
  objectRequest: 0.15e-6,
  rowRead: 0.001e-6,
  rowWritten: 1e-6,
  gigabyteSecond: 12.5e-6,
};
/** An object in memory is billed at 128 MB. */
const OBJECT_GB = 0.128;
const MONTH_SECONDS = 30 * 24 * 3600;
/** A command of a serverless Redis billed by command: 0.20 dollars per 100,000. */
const REDIS_COMMAND = 2e-6;

const COUNTING_WORKER = join(import.meta.dirname, "..", "counting", "worker.ts");
const HELD = "held in the object";
const REPEATS = 3;
/** Enough sessions that every shard of the directory has an entry. */
const WARMING = 100;
/** Longer than any work in the background waits. */
const QUIET_MS = 100;

interface Operation {
  readonly name: string;
  /** Commands that the same job takes in Redis. */
  readonly redisCommands: number;
  /** Whether an object that holds its streams itself and stores nothing could do it. */
  readonly held?: true;
  /** Makes the session, unless the operation does. */
  readonly prepare?: (server: Server) => Promise<string>;
  /** May answer how many of the counted requests are not the operation's. */
  readonly run: (server: Server, id: string) => Promise<unknown>;
}

const json = (method: string, body: unknown) => ({
  method,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});
const call = async (server: Server, path: string, init?: RequestInit) => {
  const response = await fetch(server.url + path, init);
  if (response.status >= 300) throw new Error(`${path} answered ${response.status}`);
  await response.text();
};
const read = (server: Server, id: string) => call(server, `/v1/sessions/${id}`);
const readUnknown = async ({ url }: Server) =>
  void (await (await fetch(`${url}/v1/sessions/${crypto.randomUUID()}`)).text());
const patch = (server: Server, id: string) =>
  call(server, `/v1/sessions/${id}`, json("PATCH", { metadata: { a: "b" } }));
const remove = (server: Server, id: string) =>
  call(server, `/v1/sessions/${id}`, { method: "DELETE" });
const callTool = (server: Server, id: string) =>
  call(server, "/mcp", mcp.requestOf(mcp.callLoad([id])));
const publish = (events: unknown) => (server: Server, id: string) =>
  call(server, `/v1/sessions/${id}/events`, json("POST", events));
const after = (first: Operation["run"]) => async (server: Server) => {
  const id = await makeSession(server);
  await first(server, id);
  return id;
};

/** Answers how often it asked whether the object has noticed. */
async function followAndLeave(server: Server, id: string): Promise<number> {
  const { body } = await fetch(`${server.url}/v1/sessions/${id}/events`);
  const reader = body!.getReader();
  await reader.read();
  await reader.cancel();
  // The bridge notices at its next write. The keep-alive is 50 ms here.
  for (let looks = 1; looks <= 40; looks++) {
    const response = await fetch(`${server.url}/v1/sessions/${id}?touch=false`);
    if (((await response.json()) as { writers: number }).writers === 0) return looks;
    await delay(50);
  }
  throw new Error("the reader was never noticed to have left");
}

const EVENT = { data: "x" };
const HUNDRED = Array.from({ length: 100 }, () => EVENT);

const operation = (
  name: string,
  redisCommands: number,
  run: Operation["run"],
  more: Pick<Operation, "prepare" | "held"> = {},
): Operation => ({ name, redisCommands, run, ...more });

const opened = async ({ url }: Server) => (await mcp.openSessions(`${url}/mcp`, 1))[0] ?? "";
export const MCP_OPERATIONS: readonly Operation[] = [
  operation("MCP initialize", 1, (server) =>
    call(server, "/mcp", mcp.requestOf(mcp.INITIALIZE_LOAD)),
  ),
  operation("MCP tools/call", 1, callTool, { prepare: opened }),
  operation("MCP result, resumed", 2, ({ url }, left) => mcp.resumeCall(`${url}/mcp`, left), {
    prepare: async (server) => mcp.leaveCall(`${server.url}/mcp`, await opened(server)),
  }),
];

const made = { prepare: (server: Server) => makeSession(server) };
const OPERATIONS: readonly Operation[] = [
  operation("create", 1, (server) => makeSession(server)),
  operation("read", 1, read, { prepare: after(read) }),
  // The first read after a create stores its touch, then one in each sixteenth of the TTL.
  operation("read that stores its touch", 1, read, made),
  operation("read of an unknown id", 1, readUnknown),
  operation("patch", 2, patch, made),
  operation("publish", 2, publish(EVENT), { prepare: after(publish(EVENT)), held: true }),
  operation("publish of 100 at once", 101, publish(HUNDRED), { ...made, held: true }),
  operation("follow and leave", 2, followAndLeave, { ...made, held: true }),
  operation("delete", 1, remove, made),
  ...MCP_OPERATIONS,
];

export async function startCounting(): Promise<Server> {
  const env = { LOG_LEVEL: "warn", KEEPALIVE_SECONDS: "0.05" };
  const server = await startVariant("counting", { main: COUNTING_WORKER }, { env });
  // A shard's first entry makes its tables, which is no part of a create.
  for (let n = 0; n < WARMING; n++) await makeSession(server);
  return server;
}

export async function cost(): Promise<Report> {
  const server = await startCounting();
  try {
    const found: ReturnType<typeof priced>[] = [];
    for (const operation of OPERATIONS) {
      found.push(priced(operation, await measure(server, operation)));
      progress(operation.name);
    }
    const rows = found.map(({ row }) => row);
    const claims = [...found.flatMap(({ claims }) => claims), await idleStream(server)];
    return { suite: "cost", title: "What each operation costs", rows, claims, notes: NOTES };
  } finally {
    await server.stop();
  }
}

/** Means of the repeats, and the median of their milliseconds. */
export async function measure(server: Server, { prepare, run }: Operation) {
  const tallies: Tally[] = [];
  const took: number[] = [];
  for (let n = 0; n < REPEATS; n++) {
    const id = prepare ? await prepare(server) : "";
    await settled(server);
    const started = performance.now();
    const others = await run(server, id);
    took.push(performance.now() - started);
    const tally = await settled(server);
    if (typeof others === "number") tally.sessions.requests -= others;
    tallies.push(tally);
  }
  return { ...divided(tallies, REPEATS), ms: median(took) };
}

function divided(tallies: readonly Tally[], by: number): Tally {
  const mean = noCounts();
  for (const { sessions, directory } of tallies) {
    for (const key of KEYS) {
      mean.sessions[key] += sessions[key] / by;
      mean.directory[key] += directory[key] / by;
    }
  }
  return mean;
}

const total = ({ sessions, directory }: Tally, key: keyof Counts): number =>
  sessions[key] + directory[key];

/** Dollars for an object's seconds in memory. */
export const priceOfMemory = (seconds: number) => seconds * OBJECT_GB * PRICES.gigabyteSecond;

/** Dollars for the objects' work, without their time in memory. */
export function price(tally: Tally): number {
  return (
    total(tally, "requests") * PRICES.objectRequest +
    total(tally, "rowsRead") * PRICES.rowRead +
    (total(tally, "rowsWritten") + total(tally, "alarmsSet")) * PRICES.rowWritten
  );
}

/** Counts until nothing more comes: messages to the directory follow the answer, and cost too. */
async function settled(server: Server): Promise<Tally> {
  const tallies: Tally[] = [];
  for (;;) {
    await delay(QUIET_MS);
    const more = await counted(server);
    if (KEYS.every((key) => total(more, key) === 0)) return divided(tallies, 1);
    tallies.push(more);
  }
}

/** The counts since the last call. */
async function counted(server: Server): Promise<Tally> {
  return (await (await fetch(`${server.url}/counts`)).json()) as Tally;
}

export const columns = (tally: Tally) => ({
  "object requests": total(tally, "requests"),
  wakes: total(tally, "wakes"),
  "rows read": total(tally, "rowsRead"),
  "rows written": total(tally, "rowsWritten"),
  "alarms set": total(tally, "alarmsSet"),
  "seconds in memory": total(tally, "secondsInMemory"),
});

function priced({ name, redisCommands, held }: Operation, tally: Tally) {
  const ours = 1e6 * (PRICES.workerRequest + price(tally));
  const redis = 1e6 * redisCommands * REDIS_COMMAND;
  const heldCosts = held && 1e6 * (PRICES.workerRequest + PRICES.objectRequest);
  const against = (other: string, theirs: number): Claim =>
    claim({ what: `${name}, $ per million`, other, ours: [ours], theirs: [theirs] });
  const row: Row = {
    operation: name,
    ...columns(tally),
    "of these requests and rows written by the directory": `${tally.directory.requests} and ${tally.directory.rowsWritten}`,
    "$ per million": ours,
    ...(heldCosts && { "held in the object, $ per million": heldCosts }),
    "Redis, $ per million": redis,
  };
  return {
    row,
    claims: [against("Redis", redis), ...(heldCosts ? [against(HELD, heldCosts)] : [])],
  };
}

/** Short TTLs are counted in place of the two hours that are priced. */
const COUNTED_TTL_S = 2;
const COUNTED_TTLS = 3;
const TTL_S = 7200;

/**
 * Counts a TTL of a session of two hours with an idle stream, as the mean of a day: one TTL in which the session tells
 * the directory, as it does in its first, and eleven others. The work does not depend on the TTL's length.
 */
async function idleTtl(server: Server): Promise<Tally> {
  const id = await makeSession(server, { ttlSeconds: COUNTED_TTL_S });
  const { body } = await fetch(`${server.url}/v1/sessions/${id}/events`);
  // Node cancels an unread body when it collects the response, so read from it.
  const reader = body!.getReader();
  await reader.read();
  await settled(server);
  // The work comes at the end of each TTL, so both counts end in the middle of one.
  await delay(1.5 * COUNTED_TTL_S * 1000);
  const telling = await counted(server);
  await delay(COUNTED_TTLS * COUNTED_TTL_S * 1000);
  const silent = divided([await counted(server)], COUNTED_TTLS);
  // Fails if the stream has not kept the session alive.
  await call(server, `/v1/sessions/${id}`);
  await reader.cancel();
  const day = RENEWED_FOR_MS / 1000 / TTL_S;
  return divided([telling, ...Array.from({ length: day - 1 }, () => silent)], day);
}

/** Counts what a session costs in an hour in which its open stream carries nothing. */
export async function silentHour(ours: Server, theirs: Server): Promise<[Tally, Tally]> {
  const [session = ""] = await mcp.openSessions(`${theirs.url}/mcp`, 1);
  const stream = await openStream(`${theirs.url}/mcp`, mcp.sessionHeaders(session));
  await settled(theirs);
  const [ttl] = await Promise.all([idleTtl(ours), delay(SILENT_S * 1000)]);
  const silent = await counted(theirs);
  stream.destroy();
  return [divided([ttl], TTL_S / 3600), divided([silent], SILENT_S / 3600)];
}

/** Longer than the heartbeat of `agents`, of 30 s. */
const SILENT_S = 35;

/** The price of a month of an idle stream. */
async function idleStream(server: Server): Promise<Claim> {
  const tally = await idleTtl(server);
  // Each request may wake the object.
  const awake = priceOfMemory((total(tally, "requests") * AWAKE_MS) / 1000);
  const ours = (MONTH_SECONDS / TTL_S) * (price(tally) + awake);
  const held = priceOfMemory(MONTH_SECONDS);
  const what = "an idle stream for a month, $ per million";
  return claim({ what, other: HELD, ours: [ours * 1e6], theirs: [held * 1e6] });
}

const NOTES = [
  `Mean of ${REPEATS} runs each, counted inside the objects on plain workerd, the sessions' and the directory's. A new session with a subject has one more row written in the directory, and one in its own object. Duration in memory is not in it but for the idle stream, nor is CPU of the Worker.`,
  `An idle stream: TTLs of ${COUNTED_TTL_S} s are counted, the one in which the session tells the directory and ${COUNTED_TTLS} others; a month has ${MONTH_SECONDS / TTL_S} of two hours, and tells in one of twelve. Each request to an object is taken to keep it in memory for ${AWAKE_MS / 1000} s.`,
  "Held in the object: a stream that the object writes to itself and that nothing is stored for, so that nothing can be resumed; the object stays in memory for as long as the stream is open, at 128 MB.",
  "Redis: billed by command, $0.20 per 100,000, the commands that ToolHive's storage or a stream key would take. It holds no client's stream: a server beside it does, at a price of its own.",
  "Prices: Workers Paid and Durable Objects as published in November 2026, beyond what the plan includes.",
];
