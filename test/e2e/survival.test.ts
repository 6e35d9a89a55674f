/** `npm run serve` outlives the end of workerd, too many open files and damaged storage, and removes empty files. */
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as after } from "node:timers/promises";
import { describe, expect, it, type TestContext } from "vitest";
import { ALARMS_FILE, BESIDE } from "../../scripts/object-folders.ts";
import { sweepRunning } from "../../scripts/sweep.ts";
import { run } from "../support/command.ts";
import { freePort } from "../support/free-port.ts";
import { sessionFiles, sessionFolder } from "../support/object-files.ts";
import { packedCommand } from "../support/packed.ts";
import { atEnd, beside } from "../support/scope.ts";
import { Service } from "../support/service.ts";

interface Serving {
  readonly stateDir?: string;
  /** How many files it may have open. */
  readonly openFiles?: number;
}

async function serve({ stateDir, openFiles = 4096 }: Serving = {}) {
  const state = stateDir ?? (await mkdtemp(join(tmpdir(), "holdfast-survival-")));
  if (stateDir === undefined) atEnd(() => rm(state, { recursive: true, force: true }));
  const port = await freePort();
  const command = await packedCommand();
  const shell = `ulimit -n ${openFiles}; exec "${process.execPath}" "${command}" serve`;
  const running = run(["-c", shell], { PORT: String(port), STATE_DIR: state }, "sh");
  await running.printed(/^holdfast listening on /);
  const url = `http://127.0.0.1:${port}`;
  const end = async () => {
    running.process.kill("SIGTERM");
    expect(await running.exit).toBe(0);
  };
  return { ...running, port, url, stateDir: state, end };
}

const JSON_TYPE = { "content-type": "application/json" };

async function send(url: string, method: string, path: string, body?: unknown): Promise<Response> {
  return fetch(url + path, {
    method,
    headers: JSON_TYPE,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

async function make(url: string, body: object = {}): Promise<string> {
  const made = await send(url, "POST", "/v1/sessions", body);
  expect(made.status).toBe(201);
  return ((await made.json()) as { id: string }).id;
}

/** A session with one event, the path of its events, and what came after that one. */
async function stored(url: string) {
  const path = `/v1/sessions/${await make(url)}/events`;
  const published = await send(url, "POST", path, { data: "before" });
  const { id } = (await published.json()) as { id: string };
  const headers = { accept: "application/json" };
  const after = async () => (await fetch(`${url}${path}?after=${id}`, { headers })).json();
  return { path, after };
}

/** The status of the answer; 0 where there is none. */
const publish = (url: string, path: string) =>
  send(url, "POST", path, { data: "after" }).then(
    ({ status }) => status,
    () => 0,
  );

/** The process that `npm run serve` has started. */
function workerdOf(parent: number | undefined): number {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").split(" ");
  const isWorkerd = (pid: string) => readFileSync(`/proc/${pid}/comm`, "utf8") === "workerd\n";
  return Number(children.filter(Boolean).find(isWorkerd));
}

/** Up to seven share what time a busy machine has for one. */
const AT_ONCE = { timeout: 6 * 60_000 };

// Most of the time a test waits for the service to start, or to let go of files, so they do it beside each other.
describe("npm run serve", AT_ONCE, () => {
  it.concurrent(
    "answers 503 with Retry-After before it has no more files to open, and serves again soon",
    beside(async ({ expect }: TestContext) => {
      const service = await serve({ openFiles: 512 });
      expect(service.lines).toContainEqual(
        expect.stringMatching(/^holdfast: 512 files may be open: /),
      );
      const statuses = new Map<string, number>();
      const count = (key: string) => statuses.set(key, (statuses.get(key) ?? 0) + 1);
      const flood = async () => {
        for (let n = 0; n < 30; n++) {
          const answer = await send(service.url, "POST", "/v1/sessions", {});
          await answer.text();
          count(`${answer.status} ${answer.headers.get("retry-after") ?? ""}`.trim());
        }
      };
      await Promise.all(Array.from({ length: 20 }, flood));
      expect([...statuses.keys()].toSorted()).toEqual(["201", "503 1"]);
      expect((await fetch(`${service.url}/healthz`)).status).toBe(200);
      // Objects that are not used leave memory.
      const status = () =>
        send(service.url, "POST", "/v1/sessions", {}).then((made) => made.status);
      await expect.poll(status, { interval: 1000 }).toBe(201);
      expect(service.lines.filter((line) => line.includes('"workerd.ended"'))).toEqual([]);
      await service.end();
    }),
  );

  it.concurrent(
    "starts workerd again, on the same port, when that ends by itself",
    beside(async ({ expect }: TestContext) => {
      const service = await serve();
      const { path, after } = await stored(service.url);
      process.kill(workerdOf(service.process.pid), "SIGKILL");
      const ended = await service.printed(/"workerd.ended"/);
      expect(JSON.parse(ended)).toMatchObject({ level: "error", how: "SIGKILL", againInMs: 100 });
      await service.printed(/"workerd.started"/);
      await expect.poll(() => publish(service.url, path)).toBe(202);
      expect(await after()).toMatchObject({ events: [{ data: "after" }] });
      await service.end();
    }),
  );

  // A connection takes two files. Where the last connection finds none, workerd ends; where it finds
  // one, workerd refuses that connection and goes on. Either way the next that comes is served.
  it.concurrent.for([256, 257])(
    "serves again after idle connections have taken all of %i files",
    beside(async (n: number, { expect }: TestContext) => {
      const service = await serve({ openFiles: n });
      const { path, after } = await stored(service.url);
      const sockets: Socket[] = [];
      atEnd(() => sockets.forEach((socket) => socket.destroy()));
      for (let count = 0; count < 200; count++) {
        const socket = connect(service.port, "127.0.0.1");
        socket.on("error", () => {});
        sockets.push(socket);
      }
      const said = await service.printed(/"workerd.ended"|dup\(\): Too many open files/);
      if (said.includes("workerd.ended")) await service.printed(/"workerd.started"/);
      for (const socket of sockets) socket.destroy();
      await expect.poll(() => publish(service.url, path)).toBe(202);
      expect(await after()).toMatchObject({ events: [{ data: "after" }] });
      await service.end();
      // Dozens are refused; a kind of lines gets two in ten seconds.
      expect(service.lines.filter((line) => line.includes("dup()")).length).toBeLessThanOrEqual(4);
    }),
  );

  it.concurrent(
    "starts with a damaged database of alarms, tidies up, and keeps what it stores from others",
    beside(async ({ expect }: TestContext) => {
      const first = await serve();
      const kept = await make(first.url);
      for (let n = 0; n < 8; n++) {
        const id = await make(first.url);
        expect((await send(first.url, "DELETE", `/v1/sessions/${id}`)).status).toBe(204);
      }
      // Later than the first process ends, also where that takes long.
      const ending = await make(first.url, { ttlSeconds: 10 });
      await first.end();
      const { stateDir } = first;
      expect(sessionFiles(stateDir).length).toBeGreaterThan(8);
      const alarms = join(sessionFolder(stateDir), ALARMS_FILE);
      for (const suffix of BESIDE) await rm(alarms + suffix, { force: true });
      writeFileSync(alarms, "garbage".repeat(1000));

      const second = await serve({ stateDir });
      // Of an ended session of which the directory has not heard yet, something is stored.
      expect(sessionFiles(stateDir).length).toBeLessThan(5);
      await second.printed(/"storage.mended"/);
      // Nobody asks for the session: its alarm ends it.
      const expired = await second.printed(/"session.expired"/);
      expect(JSON.parse(expired)).toMatchObject({ session: `${ending.slice(0, 8)}…` });
      expect((await fetch(`${second.url}/v1/sessions/${kept}`)).status).toBe(200);
      const isOpen = (name: string) => {
        const path = join(stateDir, name);
        return existsSync(path) && (statSync(path).mode & 0o077) !== 0;
      };
      const stored = readdirSync(stateDir, { recursive: true, encoding: "utf8" });
      expect(["", ...stored].filter(isOpen)).toEqual([]);
      await second.end();
    }),
  );

  it.concurrent(
    "takes deletes and nothing that stores more while the reserve of the disk is given up",
    beside(async ({ expect }: TestContext) => {
      const service = await Service.start();
      const id = await make(service.url);
      await service.kill();
      // As `npm run serve` leaves it when the disk is full.
      const reserve = join(service.stateDir, "reserve");
      mkdirSync(reserve);
      await service.restart();
      const refused = await send(service.url, "POST", `/v1/sessions/${id}/events`, { data: 1 });
      expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
      // A GET there makes a session.
      const legacy = await fetch(`${service.url}/sse`, {
        headers: { accept: "text/event-stream" },
      });
      expect(legacy.status).toBe(503);
      expect((await fetch(`${service.url}/v1/sessions/${id}`)).status).toBe(200);
      expect((await send(service.url, "DELETE", `/v1/sessions/${id}`)).status).toBe(204);
      writeFileSync(join(reserve, "room"), "");
      await expect
        .poll(() => send(service.url, "POST", "/v1/sessions").then((r) => r.status))
        .toBe(201);
    }),
  );

  it.concurrent(
    "removes the files of ended sessions while it runs, under traffic, and no session that lives",
    beside(async ({ expect }: TestContext) => {
      const service = await Service.start();
      const { url, stateDir, pid } = service;
      const kept: string[] = [];
      const stop = new AbortController();
      const work = async () => {
        while (!stop.signal.aborted) {
          const id = await make(url);
          const event = await send(url, "POST", `/v1/sessions/${id}/events`, { data: id });
          expect(event.status).toBe(202);
          if (kept.length < 60 && Math.random() < 0.3) kept.push(id);
          else expect((await send(url, "DELETE", `/v1/sessions/${id}`)).status).toBe(204);
          // Until files are removed, there is little to disturb.
          await after(removed === 0 ? 50 : 10);
        }
      };
      let removed = 0;
      const working = Array.from({ length: 4 }, work);
      // Objects leave memory, and close their files, some ten seconds after their last use.
      for (let n = 0; n < 300 && removed < 50; n++) {
        // As if each file had been there for an hour: then even those of sessions that are being made are due.
        removed += await sweepRunning(stateDir, pid, Date.now() + 3_600_000);
        await after(200);
      }
      stop.abort();
      await Promise.all(working);
      expect(removed).toBeGreaterThanOrEqual(20);
      for (const id of kept) {
        const page = await fetch(`${url}/v1/sessions/${id}/events`, {
          headers: { accept: "application/json" },
        });
        expect(await page.json()).toMatchObject({ events: [{ data: id }] });
      }
    }),
  );
});
