import { expect, it } from "vitest";
import { Hono } from "hono";
import { FILES_PER_REQUEST, OPEN_FILES_PAUSE_MS } from "../../../src/core/limits.ts";
import { OpenFiles, whileThereIsRoom } from "../../../src/http/open-files.ts";

/** A process that may open 1,000 files. */
function process() {
  const state = { open: 0, counts: 0, now: 0, fails: false };
  const openFiles = new OpenFiles({
    limit: 1000,
    now: () => state.now,
    async count() {
      state.counts++;
      if (state.fails) throw new Error("too many open files");
      return state.open;
    },
  });
  return { state, openFiles };
}

/** Whether a request was served. */
const serve = async (openFiles: OpenFiles, work: Promise<void> = Promise.resolve()) =>
  (await openFiles.within(() => work.then(() => true))) ?? false;

/** How many of so many requests were served, one after the other. */
async function served(openFiles: OpenFiles, times: number): Promise<number> {
  let count = 0;
  for (let n = 0; n < times; n++) if (await serve(openFiles)) count++;
  return count;
}

it("counts once for many requests, and again before it has no room left", async () => {
  const { state, openFiles } = process();
  state.open = 350;
  const fit = 400 / FILES_PER_REQUEST;
  expect(await served(openFiles, 0.7 * fit)).toBe(0.7 * fit);
  expect(state.counts).toBe(1);
  expect(await served(openFiles, 10 * fit)).toBe(10 * fit);
  expect(state.counts).toBeLessThan(20);
});

it("refuses from three quarters of the limit on, and counts again only after a pause", async () => {
  const { state, openFiles } = process();
  state.open = 750;
  expect(await served(openFiles, 10)).toBe(0);
  expect(state.counts).toBe(1);
  state.open = 100;
  state.now += OPEN_FILES_PAUSE_MS - 1;
  expect(await serve(openFiles)).toBe(false);
  state.now += 1;
  expect(await serve(openFiles)).toBe(true);
  expect(state.counts).toBe(2);
});

it("has no room if the files cannot be counted", async () => {
  const { state, openFiles } = process();
  state.fails = true;
  expect(await serve(openFiles)).toBe(false);
  state.fails = false;
  state.now += OPEN_FILES_PAUSE_MS;
  expect(await serve(openFiles)).toBe(true);
});

it("counts the requests under way, whose files may not be open yet", async () => {
  const { state, openFiles } = process();
  state.open = 650;
  const held = Promise.withResolvers<void>();
  const fit = Math.floor(100 / FILES_PER_REQUEST);
  const underWay = Array.from({ length: 3 * fit }, () => serve(openFiles, held.promise));
  await Promise.race(underWay);
  held.resolve();
  const answers = await Promise.all(underWay);
  expect(answers.filter(Boolean)).toHaveLength(fit);
  state.now += OPEN_FILES_PAUSE_MS;
  expect(await serve(openFiles)).toBe(true);
});

it("refuses nobody for a count that is under way", async () => {
  const { state, openFiles } = process();
  const answers = await Promise.all(Array.from({ length: 50 }, () => serve(openFiles)));
  expect(answers.filter(Boolean)).toHaveLength(50);
  expect(state.counts).toBe(1);
});

it("counts anew if a count never ends, because its request was cancelled", async () => {
  let counts = 0;
  let now = 0;
  const openFiles = new OpenFiles({
    limit: 1000,
    now: () => now,
    count: () => (counts++ === 0 ? new Promise<number>(() => {}) : Promise.resolve(0)),
  });
  void serve(openFiles);
  now += OPEN_FILES_PAUSE_MS;
  expect(await serve(openFiles)).toBe(true);
});

it("answers 503 with Retry-After, and a health check all the same", async () => {
  const { state, openFiles } = process();
  state.open = 1000;
  const app = new Hono();
  const pass = whileThereIsRoom(openFiles);
  app.get("*", (c) => pass(c, async () => c.text("served")));
  const refused = await app.request("/v1/sessions/x");
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await refused.json()).toMatchObject({ code: "unavailable" });
  expect((await app.request("/healthz")).status).toBe(200);
});
