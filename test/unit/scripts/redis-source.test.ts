/** ToolHive's records as `holdfast import` reads them: what a record says that changes while it is read. */
import type { Redis } from "ioredis";
import { expect, it } from "vitest";
import { openSource } from "../../../scripts/command/redis-source.ts";

const PREFIX = "thv:proxy:session:";
const ID = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55";
const RECORD = `{"id":"${ID}","type":"sse","created_at":"2026-11-30T00:00:00Z","updated_at":"2026-11-30T00:00:00Z"}`;

/** Reads a Redis that has one key, with this value and this answer to PTTL. */
async function read(value: string | null, pttl: number) {
  const answers: Record<string, unknown> = {
    PING: "PONG",
    SCAN: ["0", [PREFIX + ID]],
    GET: value === null ? null : Buffer.from(value),
    PTTL: pttl,
  };
  const call = async (name: string) => answers[name];
  const client = { status: "ready", options: {}, call, callBuffer: call, on() {}, off() {} };
  const source = await openSource({
    client: client as unknown as Redis,
    keyPrefix: PREFIX,
    isMaps: false,
  });
  const { value: found } = await source.records().next();
  await source.close();
  return found;
}

it("passes over a record that expires while it is read, and does not take it for one that never does", async () => {
  const expired = { kind: "skipped", reason: "it has expired" };
  expect(await read(RECORD, -2)).toMatchObject(expired);
  expect(await read(null, 1000)).toMatchObject(expired);
});

it("knows when a record ends, or that it never does", async () => {
  const before = Date.now();
  const ends = await read(RECORD, 60_000);
  expect(ends).toMatchObject({ kind: "record", record: { id: ID, type: "sse" } });
  const { endsAt } = (ends as { record: { endsAt: number } }).record;
  expect(endsAt).toBeGreaterThanOrEqual(before + 60_000);
  expect(await read(RECORD, -1)).toMatchObject({ kind: "record", record: { endsAt: undefined } });
});
