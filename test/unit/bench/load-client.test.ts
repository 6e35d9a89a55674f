import { readdirSync, readFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { expect, it, onTestFinished } from "vitest";
import { delivery, requests, resumptions } from "../../../bench/load-client.ts";
import { listenOnLoopback } from "../../support/listen.ts";

async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  const port = await listenOnLoopback(server);
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${port}`;
}

const load = (url: string) =>
  requests({ url, method: "GET", paths: ["/"], connections: 2, seconds: 0.1 });
const follow = (url: string, patienceMs?: number) =>
  delivery({
    url,
    followPath: "/follow",
    publishPath: "/publish",
    body: '{"data":"$"}',
    subscribers: 2,
    publishers: 1,
    seconds: 0.1,
    padding: 1,
    ...(patienceMs !== undefined && { patienceMs }),
  });

/** How the server fails a request. `refuse` and `drop` are for publishes: no reader receives them. */
type Fault = "end" | "reset" | "refuse" | "drop";

/** A service of streams. A publish goes to all of them, unless `spoil` names a fault for it. */
function streams(spoil: (path: string, answered: number) => Fault | undefined) {
  const open = new Set<Parameters<RequestListener>[1]>();
  let answered = 0;
  const listener: RequestListener = (request, response) => {
    const path = request.url ?? "";
    const fault = spoil(path, answered++);
    if (fault === "reset") return void request.socket.resetAndDestroy();
    if (path === "/follow") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      if (fault === "end") return void response.end();
      response.write(": open\n\n");
      response.on("close", () => open.delete(response));
      return void open.add(response);
    }
    let body = "";
    request.on("data", (chunk: Buffer) => (body += chunk.toString()));
    request.on("end", () => {
      if (fault === "end") {
        for (const stream of open) stream.end();
        return void response.end();
      }
      const { data } = JSON.parse(body) as { data: string };
      for (const stream of fault ? [] : open) stream.write(`data: ${data}\n\n`);
      response.writeHead(fault === "refuse" ? 500 : 202).end();
    });
  };
  return { listener, open };
}

/** Child processes with this script in their command line. */
function children(script: string): number[] {
  const threads = readdirSync("/proc/self/task");
  const pids = threads.flatMap((thread) =>
    readFileSync(`/proc/self/task/${thread}/children`, "utf8").split(" ").filter(Boolean),
  );
  return pids
    .filter((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(script))
    .map(Number);
}

it("counts what was answered well, and what was not", async () => {
  let asked = 0;
  const url = await serving((_request, response) => {
    // The first too, since a busy machine may send no second one in that time.
    response.writeHead(++asked % 2 === 1 ? 200 : 500).end();
  });
  const { count, errors, p50, p99 } = await load(url);
  expect(count).toBeGreaterThan(0);
  expect(count + errors).toBe(asked);
  expect(p50).toBeLessThanOrEqual(p99);
});

it("counts an event once for each subscriber, and leaves no stream open", async () => {
  const { listener, open } = streams(() => undefined);
  let published = 0;
  const url = await serving((request, response) => {
    if (request.url === "/publish") published++;
    listener(request, response);
  });
  const { count, errors } = await follow(url);
  expect({ count, errors }).toEqual({ count: 2 * published, errors: 0 });
  while (open.size > 0) await new Promise((resolve) => setImmediate(resolve));
});

/** Follows a service that fails every second publish in this way. */
async function followSpoilt(fault: Fault, patienceMs?: number) {
  const { listener } = streams((path, answered) =>
    path === "/publish" && answered % 2 === 0 ? fault : undefined,
  );
  const published = { spoilt: 0, well: 0 };
  let answered = 0;
  const url = await serving((request, response) => {
    const even = answered++ % 2 === 0;
    if (request.url === "/publish") published[even ? "spoilt" : "well"]++;
    listener(request, response);
  });
  return { published, sample: await follow(url, patienceMs) };
}

it("waits for no event whose publish failed", async () => {
  // If it waited, it would wait for longer than the test may take.
  const { published, sample } = await followSpoilt("refuse", 3_600_000);
  expect(published.spoilt).toBeGreaterThan(0);
  expect(sample).toMatchObject({ count: 2 * published.well, errors: published.spoilt });
});

it("counts as an error each receipt of an acknowledged event that never comes", async () => {
  const { published, sample } = await followSpoilt("drop", 100);
  expect(published.spoilt).toBeGreaterThan(0);
  expect(sample).toMatchObject({ count: 2 * published.well, errors: 2 * published.spoilt });
});

it.each([
  ["ends before it begins", "/follow", "end"],
  ["is cut before it begins", "/follow", "reset"],
  ["ends in the middle", "/publish", "end"],
] as const)(
  "fails where a stream %s, and the next load is none the worse",
  async (_what, on, how) => {
    const { listener, open } = streams((path, answered) =>
      path === on && (on === "/publish" || answered > 0) ? how : undefined,
    );
    await expect(follow(await serving(listener))).rejects.toThrow(/broke off|ECONNRESET|hang up/);
    while (open.size > 0) await new Promise((resolve) => setImmediate(resolve));
    const url = await serving((_request, response) => void response.end());
    expect((await load(url)).errors).toBe(0);
  },
);

/** Resumes from a service that keeps connections alive, or from one that closes them. */
async function resumeFrom(keepsAlive: boolean) {
  const served = new Map<unknown, number>();
  const before: number[] = [];
  const url = await serving(({ socket, url: path, headers }, response) => {
    if (path === "/events") before.push(served.get(socket) ?? 0);
    served.set(socket, (served.get(socket) ?? 0) + 1);
    if (path !== "/events") {
      return void response.writeHead(404, keepsAlive ? {} : { connection: "close" }).end("none");
    }
    const from = Number(headers["last-event-id"]);
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const event of [1, 2, 3]) response.write(`id: ${from + event}\ndata: #${event}\n\n`);
  });
  const streams = [{ url: `${url}/events`, lastEventId: "7" }];
  return { before, resuming: resumptions({ streams, events: 3, seconds: 0.1 }) };
}

it("resumes on a connection of its own that has served one request", async () => {
  const { before, resuming } = await resumeFrom(true);
  const { count, errors } = await resuming;
  expect(count).toBeGreaterThan(0);
  expect(errors).toBe(0);
  expect(before).toEqual(Array.from({ length: count }, () => 1));
});

it("fails where a service keeps no connection that it could resume on", async () => {
  const { resuming } = await resumeFrom(false);
  await expect(resuming).rejects.toThrow(/none of \d+ resumptions succeeded/);
});

it("refuses a second load beside one, and is free again after it", async () => {
  const url = await serving((_request, response) => void response.end());
  const first = load(url);
  await expect(load(url)).rejects.toThrow("a load is under way");
  expect((await first).count).toBeGreaterThan(0);
  expect((await load(url)).count).toBeGreaterThan(0);
});

it("says so where the client is killed in the middle of a load", async () => {
  const url = await serving((_request, response) => {
    for (const pid of children("bench/client/main.ts")) process.kill(pid, "SIGKILL");
    response.end();
  });
  await expect(load(url)).rejects.toThrow("SIGKILL");
});
