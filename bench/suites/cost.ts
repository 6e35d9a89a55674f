/** What each operation asks of the platform, counted, and what that costs at the published prices. */
import type { Counts } from "../counting/worker.ts";
import { progress } from "../measure.ts";
import type { Report, Row } from "../report.ts";
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

const REPEATS = 6;

interface Operation {
  readonly name: string;
  /** Requests that the operation makes to the Worker. */
  readonly workerRequests: number;
  /** Commands that a Redis would take for the same job; undefined where it has no such thing. */
  readonly redisCommands?: number;
  readonly prepare?: (server: Server) => Promise<string>;
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
    prepare: published,
    run: (server, id) => call(server, `/v1/sessions/${id}/events`, json("POST", { data: "x" })),
  },
  {
    name: "publish of 100 at once",
    workerRequests: 1,
    redisCommands: 101,
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
];

export async function cost(): Promise<Report> {
  const server = await startVariant("counting", {
    LOG_LEVEL: "warn",
    KEEPALIVE_SECONDS: "0.05",
  });
  try {
    const rows: Row[] = [];
    for (const operation of OPERATIONS) {
      rows.push(await measure(server, operation));
      progress(operation.name);
    }
    return { suite: "cost", title: "What each operation costs", rows, notes: notes() };
  } finally {
    await server.stop();
  }
}

async function measure(
  server: Server,
  { name, workerRequests, redisCommands, prepare, run }: Operation,
): Promise<Row> {
  const total: Counts = { wakes: 0, requests: 0, rowsRead: 0, rowsWritten: 0, alarmsSet: 0 };
  for (let n = 0; n < REPEATS; n++) {
    const id = prepare ? await prepare(server) : "";
    await settled();
    await fetch(`${server.url}/counts`).then((r) => r.text());
    const looks = await run(server, id);
    await settled();
    const counts = (await (await fetch(`${server.url}/counts`)).json()) as Counts;
    // Looks that waited for the reader to be noticed are not part of the operation.
    if (name === "follow and leave") counts.requests -= Number(looks);
    for (const key of Object.keys(total) as (keyof Counts)[]) total[key] += counts[key] / REPEATS;
  }
  const dollars =
    workerRequests * PRICES.workerRequest +
    total.requests * PRICES.objectRequest +
    total.rowsRead * PRICES.rowRead +
    (total.rowsWritten + total.alarmsSet) * PRICES.rowWritten;
  return {
    operation: name,
    "object requests": total.requests,
    wakes: total.wakes,
    "rows read": total.rowsRead,
    "rows written": total.rowsWritten,
    "alarms set": total.alarmsSet,
    "$ per million": dollars * 1e6,
    ...(redisCommands !== undefined && {
      "Redis, $ per million": redisCommands * REDIS_COMMAND * 1e6,
    }),
  };
}

/** The directory is told in the background, some milliseconds after the answer; that is part of the cost. */
function settled(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 150));
}

function notes(): string[] {
  const held = MONTH_SECONDS * OBJECT_GB;
  // Two rows and two alarms per TTL (7,200 s): the use and the directory; and about 10 s in memory.
  const ttls = MONTH_SECONDS / 7200;
  const idle =
    ttls * (4 * PRICES.rowWritten + PRICES.objectRequest + 10 * OBJECT_GB * PRICES.gigabyteSecond);
  return [
    `Mean of ${REPEATS} runs each, counted inside the sessions' objects on plain workerd; what the directory's shards write is not in it: six rows for a new session with a subject, four without (test/workers/directory-size.test.ts). Duration and CPU of the Worker are not in the price.`,
    `A stream that nobody writes to, for a month: $${idle.toFixed(4)} here; $${(held * PRICES.gigabyteSecond).toFixed(2)} where the object holds it (${Math.round(held).toLocaleString("en")} GB-s).`,
    "Prices: Workers Paid and Durable Objects as published in November 2026, beyond what the plan includes; Redis billed by command, $0.20 per 100,000, the commands that ToolHive's storage or a stream key would take.",
  ];
}
