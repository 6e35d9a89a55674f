import { Hono } from "hono";
import { expect, it } from "vitest";
import { DISK_LOOK_MS } from "../../../src/core/limits.ts";
import { whileTheDiskHasRoom } from "../../../src/http/disk-room.ts";

function appOn(disk: { full: boolean; fails?: boolean }) {
  const state = { now: 0, looks: 0 };
  const app = new Hono();
  const isFull = async () => {
    state.looks++;
    if (disk.fails) throw new Error("cannot look");
    return disk.full;
  };
  const check = whileTheDiskHasRoom(isFull, () => state.now);
  app.all("*", (c) => check(c, async () => c.text("served")));
  const statusOf = async (method: string, path = "/x") =>
    (await app.request(path, { method })).status;
  return { state, app, statusOf };
}

it("refuses what stores more while the disk is full, and nothing else", async () => {
  const { app, statusOf } = appOn({ full: true });
  for (const method of ["POST", "PUT", "PATCH"]) expect(await statusOf(method)).toBe(503);
  for (const method of ["GET", "HEAD", "DELETE", "OPTIONS"]) {
    expect(await statusOf(method)).toBe(200);
  }
  // A GET there makes a session.
  expect([await statusOf("GET", "/sse"), await statusOf("GET", "/sse/search")]).toEqual([503, 503]);
  expect(await statusOf("GET", "/ssezame")).toBe(200);
  const refused = await app.request("/x", { method: "POST" });
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(await refused.json()).toMatchObject({
    code: "unavailable",
    detail: expect.stringContaining("disk is full"),
  });
});

it("looks now and then", async () => {
  const disk = { full: false, fails: false };
  const { state, statusOf } = appOn(disk);
  for (let n = 0; n < 5; n++) expect(await statusOf("POST")).toBe(200);
  expect(state.looks).toBe(1);
  disk.full = true;
  state.now += DISK_LOOK_MS;
  expect(await statusOf("POST")).toBe(503);
  // A look that fails changes nothing.
  disk.fails = true;
  state.now += DISK_LOOK_MS;
  expect(await statusOf("POST")).toBe(503);
});
