/** Whether cost stays flat as sessions, retained events and open streams grow. */
import { readFile, statfs } from "node:fs/promises";
import { Agent, get, type IncomingMessage } from "node:http";
import { median, progress, requests } from "../measure.ts";
import type { Report, Row } from "../report.ts";
import { makeSession, startHoldfast, type Server } from "../servers.ts";

const SESSION_STEPS = [1000, 10_000, 50_000];
const EVENT_STEPS = [1, 1000, 10_000];
const STREAMS = 5000;
/** Of one load. */
const SECONDS = 1.5;
const CONNECTIONS = 16;
/** Sessions that a load is spread over, and that are resumed one by one. */
const SAMPLE = 200;
const RESUMED = 20;
/** Events in one publish, and missed by who resumes. */
const BATCH = 100;

/** A folder in memory, and how much room 50,000 sessions need there. */
const MEMORY_FOLDER = "/dev/shm";
const ROOM_BYTES = 4 * 2 ** 30;

export async function growth(): Promise<Report> {
  const { TMPDIR } = process.env;
  const inMemory = await hasRoom(MEMORY_FOLDER);
  // Each create is eleven writes that a disk has to confirm: on one, 50,000 would take most of the time.
  if (inMemory) process.env["TMPDIR"] = MEMORY_FOLDER;
  try {
    const rows = [...(await bySessions()), ...(await byEvents()), ...(await byStreams())];
    return {
      suite: "growth",
      title: "Growth",
      rows,
      notes: [
        `Storage ${inMemory ? `in memory (${MEMORY_FOLDER}), so that no disk's speed hides what grows` : "on disk"}.`,
        `Sessions: each call once so many exist, over ${SAMPLE} of them taken at random, most of which are not in memory then (${CONNECTIONS} connections, ${SECONDS} s); resuming after ${BATCH} missed events, ${RESUMED} times.`,
        `Retained events: reading, publishing to and resuming the last ${BATCH} events of one session that retains so many.`,
        `Streams: over ${STREAM_SESSIONS} sessions, left idle until their objects have been evicted (about 10 s after their last work), which is what is left after an hour too; memory is workerd's resident set. Then each session is published to once, which wakes its object, and more streams are opened.`,
      ],
    };
  } finally {
    if (TMPDIR === undefined) delete process.env["TMPDIR"];
    else process.env["TMPDIR"] = TMPDIR;
  }
}

async function hasRoom(folder: string): Promise<boolean> {
  const found = await statfs(folder).catch(() => undefined);
  return found !== undefined && found.bavail * found.bsize >= ROOM_BYTES;
}

async function bySessions(): Promise<Row[]> {
  const server = await startHoldfast({ QUEUE_CAPACITY: "100000", LOG_MAX_EVENTS: "100000" });
  const load = { url: server.url, connections: CONNECTIONS, seconds: SECONDS };
  const get = (paths: string[]) => requests({ ...load, method: "GET", paths });
  const post = (paths: string[], body: string) =>
    requests({ ...load, method: "POST", paths, body });
  const rows: Row[] = [];
  const ids: string[] = [];
  try {
    for (const step of SESSION_STEPS) {
      await grow(server, ids, step);
      const pick = () => `/v1/sessions/${ids[Math.floor(Math.random() * ids.length)]}`;
      const paths = Array.from({ length: SAMPLE }, pick);
      const read = await get(paths);
      const create = await post(["/v1/sessions"], "{}");
      const publish = await post(
        paths.map((path) => `${path}/events`),
        '{"data":"x"}',
      );
      const list = await get(["/v1/sessions?limit=50"]);
      rows.push({
        of: "sessions",
        size: step,
        "read /s": read.perSecond,
        "create /s": create.perSecond,
        "publish /s": publish.perSecond,
        "list of 50, p50 ms": list.p50,
        "resume p50 ms": await resumes(Array.from({ length: RESUMED }, () => server.url + pick())),
        "resident MiB": await residentMiB(server),
        errors: read.errors + create.errors + publish.errors + list.errors,
      });
      progress(JSON.stringify(rows.at(-1)));
    }
    return rows;
  } finally {
    await server.stop();
  }
}

/** Makes sessions until there are `size`, so many at a time as the service has connections. */
async function grow(server: Server, ids: string[], size: number): Promise<void> {
  let wanted = size - ids.length;
  const make = async () => {
    while (wanted-- > 0) {
      ids.push(await makeSession(server));
      if (ids.length % 5000 === 0) progress(`${ids.length} sessions`);
    }
  };
  await Promise.all(Array.from({ length: 4 * CONNECTIONS }, make));
}

/** Publishes a batch to each session and resumes after its first event. */
async function resumes(urls: readonly string[]): Promise<number> {
  const times: number[] = [];
  for (const url of urls) {
    const ids = await publishBatch(`${url}/events`, BATCH);
    times.push(await resumeOnce(`${url}/events`, ids[0] ?? "", ids.at(-1) ?? ""));
  }
  return median(times);
}

async function publishBatch(url: string, count: number): Promise<string[]> {
  const response = await fetch(url, {
    method: "POST",
    body: JSON.stringify(Array.from({ length: count }, (_, n) => ({ data: `event ${n}` }))),
    headers: { "content-type": "application/json" },
  });
  if (response.status !== 202) throw new Error(`publishing answered ${response.status}`);
  return ((await response.json()) as { ids: string[] }).ids;
}

async function byEvents(): Promise<Row[]> {
  const most = Math.max(...EVENT_STEPS);
  const server = await startHoldfast({
    LOG_MAX_EVENTS: String(most),
    QUEUE_CAPACITY: String(most),
    LOG_MAX_BYTES: String(64 * 2 ** 20),
    // A reader that has left counts until the next keep-alive, and there are many in quick succession.
    MAX_WRITERS: "1000",
  });
  const load = { url: server.url, connections: 8, seconds: SECONDS };
  try {
    const rows: Row[] = [];
    for (const step of EVENT_STEPS) {
      const path = `/v1/sessions/${await makeSession(server)}`;
      const events = `${server.url}${path}/events`;
      let ids: string[] = [];
      for (let n = 0; n < step; n += BATCH) {
        ids = await publishBatch(events, Math.min(BATCH, step - n));
      }
      const times: number[] = [];
      for (let n = 0; n < 50; n++) {
        times.push(await resumeOnce(events, ids[0] ?? "", ids.at(-1) ?? ""));
      }
      const read = await requests({ ...load, method: "GET", paths: [path] });
      // With a reader attached the queue does not fill, and each publish trims as it would in service.
      const reader = await fetch(events);
      const plan = { ...load, method: "POST", paths: [`${path}/events`], body: '{"data":"x"}' };
      const publish = await requests(plan);
      await reader.body?.cancel();
      rows.push({
        of: "retained events",
        size: step,
        "read /s": read.perSecond,
        "publish /s": publish.perSecond,
        "resume p50 ms": median(times),
        errors: read.errors + publish.errors,
      });
      progress(JSON.stringify(rows.at(-1)));
    }
    return rows;
  } finally {
    await server.stop();
  }
}

/** Milliseconds until a client that saw `after` has the event `last`. */
async function resumeOnce(url: string, after: string, last: string): Promise<number> {
  const started = performance.now();
  const response = await fetch(url, { headers: { "last-event-id": after } });
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes(`id: ${last}`)) {
    const { done, value } = await reader.read();
    if (done) throw new Error("the stream ended before its last event");
    text += value;
  }
  const took = performance.now() - started;
  await reader.cancel();
  return took;
}

/** Sessions that the idle streams are spread over, ten on each: MAX_WRITERS bounds what one may have. */
const STREAM_SESSIONS = 500;
/** Longer than workerd keeps an object that has nothing to do. */
const EVICTION_MS = 20_000;

async function byStreams(): Promise<Row[]> {
  const server = await startHoldfast();
  const agent = new Agent({ keepAlive: false });
  const streams: IncomingMessage[] = [];
  const ids = await Promise.all(Array.from({ length: STREAM_SESSIONS }, () => makeSession(server)));
  const { hostname, port } = new URL(server.url);
  const path = (n: number) => `/v1/sessions/${ids[n % ids.length]}/events`;
  /** Opens so many, fifty at a time. Returns how many it opened a second. */
  const openMore = async (count: number) => {
    const started = performance.now();
    for (let n = 0; n < count; n += 50) {
      const some = Array.from({ length: 50 }, (_, k) =>
        open({ hostname, port, agent, path: path(n + k) }),
      );
      streams.push(...(await Promise.all(some)));
    }
    return (count * 1000) / (performance.now() - started);
  };
  const perStreamKiB = async (before: number) =>
    (((await residentMiB(server)) - before) * 1024) / STREAMS;
  try {
    const before = await residentMiB(server);
    const opened = await openMore(STREAMS);
    const justOpened = await perStreamKiB(before);
    progress(`${STREAMS} streams open`);
    await new Promise((resolve) => setTimeout(resolve, EVICTION_MS));
    const evicted = await perStreamKiB(before);
    const woken = await deliveriesTo(streams, (n) => server.url + path(n));
    const row = {
      of: "idle streams",
      size: STREAMS,
      "opened /s": opened,
      "KiB per stream, just opened": justOpened,
      "KiB per stream, objects evicted": evicted,
      "publish to an evicted object, to its last reader, p50 ms": median(woken),
      "opened /s, after": await openMore(STREAM_SESSIONS),
    };
    progress(JSON.stringify(row));
    return [row];
  } finally {
    for (const stream of streams) stream.destroy();
    agent.destroy();
    await server.stop();
  }
}

/** Publishes to some sessions, one after the other: milliseconds until the last of each one's readers has the event. */
async function deliveriesTo(
  streams: readonly IncomingMessage[],
  urlOf: (session: number) => string,
): Promise<number[]> {
  const times: number[] = [];
  for (let session = 0; session < 100; session++) {
    const readers = streams.filter((_, n) => n % STREAM_SESSIONS === session);
    const received = readers.map((reader) => receives(reader, "data: event 0"));
    const started = performance.now();
    await publishBatch(urlOf(session), 1);
    await Promise.all(received);
    times.push(performance.now() - started);
  }
  return times;
}

function receives(stream: IncomingMessage, text: string): Promise<void> {
  return new Promise((resolve) => {
    const look = (chunk: Buffer): void => {
      if (!chunk.includes(text)) return;
      stream.off("data", look);
      resolve();
    };
    stream.on("data", look);
  });
}

function open(options: { hostname: string; port: string; path: string; agent: Agent }) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    get(options, (incoming) => {
      if (incoming.statusCode === 200) incoming.once("data", () => resolve(incoming)).resume();
      else reject(new Error(`following answered ${incoming.statusCode}`));
      incoming.on("error", () => {});
    }).on("error", reject);
  });
}

async function residentMiB(server: Server): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
