/** What each operation asks of the platform, counted, and what that costs at the published prices. */
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { claim } from "../comparison.ts";
import { KINDS, noCounts, type Counts, type Tally } from "../counting/counts.ts";
import { progress } from "../measure.ts";
import { callLoad, INITIALIZE_LOAD, openSessions, type Load } from "../peers/mcp-sessions.ts";
import type { Claim, Report, Row } from "../report.ts";
import { makeSession, startVariant, type Server } from "../servers.ts";

/** Dollars, Workers Paid, as published in November 2026 beyond what the plan includes. */
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
/** So many that every shard of the directory has an entry. */
const WARMING = 100;
/** Longer than what happens in the background waits. */
const QUIET_MS = 100;

interface Operation {
  readonly name: string;
  /** Requests that the operation makes to the Worker. */
  readonly workerRequests: number;
  /** Commands that a Redis would take for the same job. */
  readonly redisCommands: number;
  /** Requests to an object that holds its streams itself and stores nothing; absent where that is no such object's job. */
  readonly heldRequests?: number;
  readonly prepare?: (server: Server) => Promise<string>;
  readonly run: (server: Server, id: string) => Promise<unknown>;
}

const json = (method: string, body: unknown) => ({
  method,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json" },
});
/** One request of a load. */
const mcp = ({ method, headers, headersInTurn = [], body = "" }: Load) => ({
  method,
  headers: { "content-type": "application/json", ...headers, ...headersInTurn[0] },
  body: body.replace("$n", "1"),
});
const call = async (server: Server, path: string, init?: RequestInit) => {
  const response = await fetch(server.url + path, init);
  if (response.status >= 300) throw new Error(`${path} answered ${response.status}`);
  await response.text();
};
const published = async (server: Server) => {
  const id = await makeSession(server);
  await call(server, `/v1/sessions/${id}/events`, json("POST", { data: "first" }));
  return id;
};

const OPERATIONS: readonly Operation[] = [
  { name: "create", workerRequests: 1, redisCommands: 1, run: (server) => makeSession(server) },
  {
    name: "read",
    workerRequests: 1,
    redisCommands: 1,
    async prepare(server) {
      const id = await makeSession(server);
      await call(server, `/v1/sessions/${id}`);
      return id;
    },
    run: (server, id) => call(server, `/v1/sessions/${id}`),
  },
  {
    name: "read that stores its touch",
    workerRequests: 1,
    redisCommands: 1,
    // The first after a create does, and then one in each sixteenth of the TTL.
    prepare: makeSession,
    run: (server, id) => call(server, `/v1/sessions/${id}`),
  },
  {
    name: "read of an unknown id",
    workerRequests: 1,
    redisCommands: 1,
    run: (server) =>
      fetch(`${server.url}/v1/sessions/${crypto.randomUUID()}`).then((r) => r.text()),
  },
  {
    name: "patch",
    workerRequests: 1,
    redisCommands: 2,
    prepare: makeSession,
    run: (server, id) =>
      call(server, `/v1/sessions/${id}`, json("PATCH", { metadata: { a: "b" } })),
  },
  {
    name: "publish",
    workerRequests: 1,
    redisCommands: 2,
    heldRequests: 1,
    prepare: published,
    run: (server, id) => call(server, `/v1/sessions/${id}/events`, json("POST", { data: "x" })),
  },
  {
    name: "publish of 100 at once",
    workerRequests: 1,
    redisCommands: 101,
    heldRequests: 1,
    prepare: makeSession,
    run: (server, id) =>
      call(
        server,
        `/v1/sessions/${id}/events`,
        json(
          "POST",
          Array.from({ length: 100 }, () => ({ data: "x" })),
        ),
      ),
  },
  {
    name: "follow and leave",
    workerRequests: 1,
    redisCommands: 2,
    heldRequests: 1,
    prepare: makeSession,
    async run(server, id) {
      const { body } = await fetch(`${server.url}/v1/sessions/${id}/events`);
      const reader = body!.getReader();
      await reader.read();
      await reader.cancel();
      // The object hears of it when the bridge next writes; the keep-alive is 50 ms here.
      for (let waited = 0; waited < 40; waited++) {
        const response = await fetch(`${server.url}/v1/sessions/${id}?touch=false`);
        if (((await response.json()) as { writers: number }).writers === 0) return waited + 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error("the reader was never noticed to have left");
    },
  },
  {
    name: "delete",
    workerRequests: 1,
    redisCommands: 1,
    prepare: makeSession,
    run: (server, id) => call(server, `/v1/sessions/${id}`, { method: "DELETE" }),
  },
  {
    name: "MCP initialize",
    workerRequests: 1,
    redisCommands: 1,
    run: (server) => call(server, "/mcp", mcp(INITIALIZE_LOAD)),
  },
  {
    name: "MCP tools/call",
    workerRequests: 1,
    redisCommands: 1,
    async prepare({ url }) {
      const [session = ""] = await openSessions(`${url}/mcp`, 1, 1);
      return session;
    },
    run: (server, id) => call(server, "/mcp", mcp(callLoad([id]))),
  },
];

export async function cost(): Promise<Report> {
  const server = await startVariant(
    "counting",
    { main: COUNTING_WORKER },
    {
      env: { LOG_LEVEL: "warn", KEEPALIVE_SECONDS: "0.05" },
    },
  );
  try {
    // A shard's first entry makes its tables, which is not what a create costs.
    for (let n = 0; n < WARMING; n++) await makeSession(server);
    const rows: Row[] = [];
    const claims: Claim[] = [];
    for (const operation of OPERATIONS) {
      const { row, against } = priced(operation, await measure(server, operation));
      rows.push(row);
      claims.push(...against);
      progress(operation.name);
    }
    claims.push(await idleStream(server));
    return { suite: "cost", title: "What each operation costs", rows, claims, notes: NOTES };
  } finally {
    await server.stop();
  }
}

const KEYS = ["requests", "wakes", "rowsRead", "rowsWritten", "alarmsSet"] as const;

/** Means of the repeats. */
async function measure(server: Server, { name, prepare, run }: Operation): Promise<Tally> {
  const tallies: Tally[] = [];
  for (let n = 0; n < REPEATS; n++) {
    const id = prepare ? await prepare(server) : "";
    await settled(server);
    const looks = await run(server, id);
    const tally = await settled(server);
    // Looks that waited for the reader to be noticed are not part of the operation.
    if (name === "follow and leave") tally.sessions.requests -= Number(looks);
    tallies.push(tally);
  }
  return divided(tallies, REPEATS);
}

function divided(tallies: readonly Tally[], by: number): Tally {
  const sum = noCounts();
  for (const kind of KINDS)
    for (const key of KEYS) for (const tally of tallies) sum[kind][key] += tally[kind][key] / by;
  return sum;
}

const total = ({ sessions, directory }: Tally, key: keyof Counts): number =>
  sessions[key] + directory[key];

/** Dollars for what the objects were asked, without their time in memory. */
function price(tally: Tally): number {
  return (
    total(tally, "requests") * PRICES.objectRequest +
    total(tally, "rowsRead") * PRICES.rowRead +
    (total(tally, "rowsWritten") + total(tally, "alarmsSet")) * PRICES.rowWritten
  );
}

/**
 * All that was counted, once nothing more is: the directory is told in the background,
 * some milliseconds after the answer, and that is part of the cost.
 */
async function settled(server: Server): Promise<Tally> {
  const tallies: Tally[] = [];
  for (;;) {
    await delay(QUIET_MS);
    const more = await counted(server);
    if (KEYS.every((key) => total(more, key) === 0)) return divided(tallies, 1);
    tallies.push(more);
  }
}

/** What was counted since this was last asked. */
async function counted(server: Server): Promise<Tally> {
  return (await (await fetch(`${server.url}/counts`)).json()) as Tally;
}

function priced(operation: Operation, tally: Tally): { row: Row; against: Claim[] } {
  const { name, workerRequests, redisCommands, heldRequests } = operation;
  const requests = workerRequests * PRICES.workerRequest;
  const ours = requests + price(tally);
  const redis = redisCommands * REDIS_COMMAND;
  const held =
    heldRequests === undefined ? undefined : requests + heldRequests * PRICES.objectRequest;
  const against = (other: string, dollars: number) =>
    claim({
      what: `${name}, $ per million`,
      other,
      ours: [ours * 1e6],
      theirs: [dollars * 1e6],
    });
  return {
    row: {
      operation: name,
      "object requests": total(tally, "requests"),
      wakes: total(tally, "wakes"),
      "rows read": total(tally, "rowsRead"),
      "rows written": total(tally, "rowsWritten"),
      "alarms set": total(tally, "alarmsSet"),
      "of these requests and rows written by the directory": `${tally.directory.requests} and ${tally.directory.rowsWritten}`,
      "$ per million": ours * 1e6,
      ...(held !== undefined && { "held in the object, $ per million": held * 1e6 }),
      "Redis, $ per million": redis * 1e6,
    },
    against: [against("Redis", redis), ...(held === undefined ? [] : [against(HELD, held)])],
  };
}

/** A TTL that is counted through, so many times, in place of the two hours that are priced. */
const COUNTED_TTL_S = 2;
const COUNTED_TTLS = 3;
const TTL_S = 7200;
/** Seconds that an object stays in memory once it has nothing to do. */
const AWAKE_S = 10;

/**
 * What a month of a stream that nobody writes to costs: what a TTL of it asks for does not
 * depend on how long that is, so short ones are counted.
 */
async function idleStream(server: Server): Promise<Claim> {
  const id = await makeSession(server, { ttlSeconds: COUNTED_TTL_S });
  const { body } = await fetch(`${server.url}/v1/sessions/${id}/events`);
  // Node cancels a body that nobody has begun to read once it collects the response.
  const reader = body!.getReader();
  await reader.read();
  await settled(server);
  // It asks for something at the end of each TTL, so the count ends in the middle of one.
  await delay((COUNTED_TTLS + 0.5) * COUNTED_TTL_S * 1000);
  const tally = divided([await counted(server)], COUNTED_TTLS);
  // Fails where it was not the stream that kept the session alive all the time.
  await call(server, `/v1/sessions/${id}`);
  await reader.cancel();
  // Each request may find its object out of memory.
  const awake = total(tally, "requests") * AWAKE_S * OBJECT_GB * PRICES.gigabyteSecond;
  const ours = (MONTH_SECONDS / TTL_S) * (price(tally) + awake);
  const held = MONTH_SECONDS * OBJECT_GB * PRICES.gigabyteSecond;
  const what = "an idle stream for a month, $ per million";
  return claim({ what, other: HELD, ours: [ours * 1e6], theirs: [held * 1e6] });
}

const NOTES = [
  `Mean of ${REPEATS} runs each, counted inside the objects on plain workerd, the sessions' and the directory's. A new session with a subject has two more rows written in the directory, and one in its own object. Duration in memory is not in it but for the idle stream, nor is CPU of the Worker.`,
  `An idle stream: ${COUNTED_TTLS} TTLs of ${COUNTED_TTL_S} s are counted; a month has ${MONTH_SECONDS / TTL_S} of two hours. Each request to an object is taken to keep it in memory for ${AWAKE_S} s.`,
  "Held in the object: a stream that the object writes to itself and that nothing is stored for, so that nothing can be resumed; the object stays in memory for as long as the stream is open, at 128 MB.",
  "Redis: billed by command, $0.20 per 100,000, the commands that ToolHive's storage or a stream key would take. It holds no client's stream: a server beside it does, at a price of its own.",
  "Prices: Workers Paid and Durable Objects as published in November 2026, beyond what the plan includes.",
];
