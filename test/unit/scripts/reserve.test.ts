import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { keepReserve } from "../../../scripts/reserve.ts";
import { createLogger } from "../../../src/logger.ts";

const MIB = 1024 * 1024;

let stateDir: string;
beforeEach(() => {
  stateDir = mkdtempSync(join(tmpdir(), "holdfast-reserve-"));
});
afterEach(() => rmSync(stateDir, { recursive: true, force: true }));

const file = () => join(stateDir, "reserve", "room");

/** A reserve on a disk of which the test says how much is free. */
function reserveOn(disk: { bytes: number; freeBytes: number }) {
  const events: unknown[] = [];
  const log = createLogger("info", (line) => {
    events.push((JSON.parse(line) as { event: unknown }).event);
  });
  const reserve = keepReserve(stateDir, { log, diskOf: () => disk });
  onTestFinished(() => reserve.stop());
  return { events, look: () => reserve.look() };
}

it("keeps 4 MiB, gives them up when the disk is full, and takes them back when there is room", () => {
  const disk = { bytes: 1000 * MIB, freeBytes: 500 * MIB };
  const { events, look } = reserveOn(disk);
  expect(statSync(file()).size).toBe(4 * MIB);
  disk.freeBytes = MIB;
  look();
  expect(existsSync(file())).toBe(true);
  disk.freeBytes = MIB - 1;
  look();
  expect(existsSync(file())).toBe(false);
  // The room that the file left is not room for more.
  disk.freeBytes = 5 * MIB;
  look();
  expect(existsSync(file())).toBe(false);
  disk.freeBytes = 16 * MIB;
  look();
  expect(statSync(file()).size).toBe(4 * MIB);
  expect(events).toEqual(["disk.full", "disk.has_room"]);
});

it("keeps less on a small disk", () => {
  reserveOn({ bytes: 16 * MIB, freeBytes: 8 * MIB });
  expect(statSync(file()).size).toBe(MIB);
});

it("says at the start that the disk is full, once", () => {
  const { events, look } = reserveOn({ bytes: 1000 * MIB, freeBytes: 0 });
  look();
  expect(events).toEqual(["disk.full"]);
});

it("gives up what a making that was killed has left", () => {
  const making = `${file()}.making`;
  mkdirSync(join(stateDir, "reserve"));
  writeFileSync(making, "x".repeat(MIB));
  reserveOn({ bytes: 1000 * MIB, freeBytes: 0 });
  expect(existsSync(making)).toBe(false);
});

it("goes on where nothing can be written at all", () => {
  // A file stands in the folder's place.
  writeFileSync(join(stateDir, "reserve"), "");
  expect(reserveOn({ bytes: 1000 * MIB, freeBytes: 0 }).events).toEqual(["disk.full"]);
});
