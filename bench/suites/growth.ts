/** Whether cost stays flat as sessions, retained events and open streams grow. */
import { readFile } from "node:fs/promises";
import { Agent, get, type IncomingMessage } from "node:http";
import { requests, progress } from "../measure.ts";
import type { Report, Row } from "../report.ts";
import { makeSession, startHoldfast, type Server } from "../servers.ts";

const SESSION_STEPS = [1000, 10_000, 50_000];
const EVENT_STEPS = [1, 1000, 10_000];
const STREAMS = 5000;
const SECONDS = 2;
const CONNECTIONS = 16;

export async function growth(): Promise<Report> {
  const rows = [...(await bySessions()), ...(await byEvents()), ...(await byStreams())];
  return {
    suite: "growth",
    title: "Growth",
    rows,
    notes: [
      "Sessions: throughput of each call once so many exist, over 200 of them taken at random (16 connections, 2 s).",
      "Retained events: publishing to, and resuming the last 100 events of, a session that retains so many.",
      "Streams: opened one by one over loopback and left idle; memory is the process's resident set.",
    ],
  };
}

async function bySessions(): Promise<Row[]> {
  const server = await startHoldfast();
  const rows: Row[] = [];
  const ids: string[] = [];
  try {
    for (const step of SESSION_STEPS) {
      await grow(server, ids, step);
      const some = Array.from(
        { length: 200 },
        () => ids[Math.floor(Math.random() * ids.length)] ?? "",
      );
      const paths = some.map((id) => `/v1/sessions/${id}`);
      const plan = { url: server.url, connections: CONNECTIONS, seconds: SECONDS };
      const read = await requests({ ...plan, method: "GET", paths });
      const create = await requests({
        ...plan,
        method: "POST",
        paths: ["/v1/sessions"],
        body: "{}",
      });
      const list = await requests({
        ...plan,
        method: "GET",
        paths: ["/v1/sessions?limit=50"],
        seconds: 1,
      });
      rows.push({
        of: "sessions",
        size: step,
        "read /s": read.perSecond,
        "create /s": create.perSecond,
        "list of 50 /s": list.perSecond,
        "list p50 ms": list.p50,
        "resident MiB": await residentMiB(server),
      });
      progress(JSON.stringify(rows.at(-1)));
    }
    return rows;
  } finally {
    await server.stop();
  }
}

/** Makes sessions until there are `size`, a hundred at a time. */
async function grow(server: Server, ids: string[], size: number): Promise<void> {
  while (ids.length < size) {
    const batch = Math.min(100, size - ids.length);
    ids.push(...(await Promise.all(Array.from({ length: batch }, () => makeSession(server)))));
    if (ids.length % 5000 === 0) progress(`${ids.length} sessions`);
  }
}

async function byEvents(): Promise<Row[]> {
  const most = Math.max(...EVENT_STEPS);
  const server = await startHoldfast({
    LOG_MAX_EVENTS: String(most),
    QUEUE_CAPACITY: String(most),
    LOG_MAX_BYTES: String(64 * 2 ** 20),
  });
  try {
    const rows: Row[] = [];
    for (const step of EVENT_STEPS) {
      const id = await makeSession(server);
      const path = `/v1/sessions/${id}/events`;
      let lastIds: string[] = [];
      for (let n = 0; n < step; n += 100) {
        const events = Array.from({ length: Math.min(100, step - n) }, (_, k) => ({
          data: `event ${n + k}`,
        }));
        const response = await fetch(server.url + path, {
          method: "POST",
          body: JSON.stringify(events),
          headers: { "content-type": "application/json" },
        });
        lastIds = ((await response.json()) as { ids: string[] }).ids;
      }
      const seen = lastIds[0] ?? "";
      const times: number[] = [];
      for (let n = 0; n < 50; n++)
        times.push(await resumeOnce(server.url + path, seen, lastIds.at(-1) ?? ""));
      times.sort((a, b) => a - b);
      // With a reader attached the queue does not fill, and each publish trims as it would in service.
      const reader = await fetch(server.url + path);
      const publish = await requests({
        url: server.url,
        method: "POST",
        paths: [path],
        body: '{"data":"x"}',
        connections: 8,
        seconds: SECONDS,
      });
      await reader.body?.cancel();
      rows.push({
        of: "retained events",
        size: step,
        "publish /s": publish.perSecond,
        "resume 100, p50 ms": times[25] ?? NaN,
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

async function byStreams(): Promise<Row[]> {
  const server = await startHoldfast({ KEEPALIVE_SECONDS: "15" });
  const agent = new Agent({ keepAlive: false });
  try {
    const ids = await Promise.all(Array.from({ length: 500 }, () => makeSession(server)));
    const before = await residentMiB(server);
    const started = performance.now();
    const streams = [];
    const { hostname, port } = new URL(server.url);
    for (let n = 0; n < STREAMS; n += 50) {
      streams.push(
        ...(await Promise.all(
          Array.from({ length: 50 }, (_, k) =>
            open({
              hostname,
              port,
              agent,
              path: `/v1/sessions/${ids[(n + k) % ids.length]}/events`,
            }),
          ),
        )),
      );
    }
    const seconds = (performance.now() - started) / 1000;
    const after = await residentMiB(server);
    // Objects are evicted about 10 s after their last work; what an hour would leave is left then.
    await new Promise((resolve) => setTimeout(resolve, 20_000));
    const idle = await residentMiB(server);
    for (const stream of streams) stream.destroy();
    return [
      {
        of: "idle streams",
        size: STREAMS,
        "opened /s": STREAMS / seconds,
        "KiB per stream, just opened": ((after - before) * 1024) / STREAMS,
        "KiB per stream, objects evicted": ((idle - before) * 1024) / STREAMS,
      },
    ];
  } finally {
    agent.destroy();
    await server.stop();
  }
}

function open(options: { hostname: string; port: string; path: string; agent: Agent }) {
  return new Promise<IncomingMessage>((resolve, reject) => {
    get(options, (incoming) => {
      if (incoming.statusCode === 200) incoming.once("data", () => resolve(incoming));
      else reject(new Error(`following answered ${incoming.statusCode}`));
      incoming.on("error", () => {});
    }).on("error", reject);
  });
}

async function residentMiB(server: Server): Promise<number> {
  const status = await readFile(`/proc/${server.pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
