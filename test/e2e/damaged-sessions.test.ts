/** A session whose file is damaged: it answers 503, the log names the file, and an admin can delete it. */
import {
  closeSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { expect, it } from "vitest";
import { apiTokens } from "../support/api-tokens.ts";
import { sessionFiles, sessionFolder } from "../support/object-files.ts";
import { Service } from "../support/service.ts";

function overwrite(file: string, at: number, length: number): void {
  const handle = openSync(file, "r+");
  writeSync(handle, Buffer.alloc(length, "x"), 0, length, at);
  closeSync(handle);
}

const dropLog = (file: string) =>
  ["-wal", "-shm"].forEach((end) => rmSync(file + end, { force: true }));

function change(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

/** As `change`, but what changes is in the write-ahead log alone, as after a crash. */
function changeInLog(file: string, sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = WAL; ${sql}`);
  const parts = ["", "-wal"].map((end) => [file + end, readFileSync(file + end)] as const);
  database.close();
  for (const [part, bytes] of parts) writeFileSync(part, bytes);
  expect(statSync(`${file}-wal`).size).toBeGreaterThan(0);
}

const KINDS: Readonly<Record<string, (file: string) => void>> = {
  "everything is overwritten": (file) => {
    overwrite(file, 0, 4096);
    overwrite(`${file}-wal`, 0, 4096);
  },
  "the first bytes are": (file) => (dropLog(file), overwrite(file, 0, 16)),
  "what follows the head is": (file) => (dropLog(file), overwrite(file, 100, 3996)),
  "it is cut short": (file) => (dropLog(file), truncateSync(file, 100)),
  // An empty object, as V8 writes it.
  "its record is another value": (file) =>
    change(file, "UPDATE _cf_KV SET value = x'ff0f6f7b00' WHERE key = 'session'"),
  "its record is another value in the log": (file) =>
    changeInLog(file, "UPDATE _cf_KV SET value = x'ff0f6f7b00' WHERE key = 'session'"),
  "its record cannot be read": (file) =>
    change(file, "UPDATE _cf_KV SET value = x'67' WHERE key = 'session'"),
};

it("answers 503 and names the file until an admin deletes it, and then the id is free", async () => {
  const { variable, headers } = await apiTokens({
    admin: ["admin", ["admin"]],
    owner: ["owner", ["sessions:read", "sessions:write"]],
  });
  const service = await Service.start({ AUTH: "token", API_TOKENS: variable });
  const send = (method: string, id: string, by: Record<string, string>) =>
    service.fetch(`/v1/sessions/${id}`, {
      method,
      headers: { ...by, "content-type": "application/json" },
      ...(method === "PUT" && { body: JSON.stringify({ data: "private" }) }),
    });
  const listed = async (id: string) => {
    const list = await service.fetch("/v1/sessions?limit=200", { headers: headers["admin"]! });
    return JSON.stringify(await list.json()).includes(id);
  };
  const damaged = new Map<string, string>();
  for (const kind of [...Object.keys(KINDS), "sound"]) {
    const id = crypto.randomUUID();
    const before = sessionFiles(service.stateDir);
    expect((await send("PUT", id, headers["owner"]!)).status).toBe(201);
    const [file = ""] = sessionFiles(service.stateDir).filter((name) => !before.includes(name));
    damaged.set(kind, JSON.stringify({ id, file }));
    await expect.poll(() => listed(id)).toBe(true);
  }
  await service.kill();
  for (const [kind, damage] of Object.entries(KINDS)) {
    const { file } = JSON.parse(damaged.get(kind)!) as { file: string };
    damage(join(sessionFolder(service.stateDir), file));
  }
  await service.restart();
  for (const kind of Object.keys(KINDS)) {
    const { id, file } = JSON.parse(damaged.get(kind)!) as { id: string; file: string };
    const statuses: number[] = [];
    const status = async (method: string, by: string) =>
      void statuses.push((await send(method, id, headers[by]!)).status);
    await status("GET", "owner");
    await status("PUT", "owner");
    await status("DELETE", "owner");
    await service.logged(
      (l) => l.event === "storage.failed" && l["file"] === `SessionObject/${file}`,
    );
    expect(await listed(id)).toBe(true);
    await status("DELETE", "admin");
    expect(await listed(id)).toBe(false);
    await status("GET", "owner");
    await status("PUT", "owner");
    await status("GET", "owner");
    expect([kind, statuses]).toEqual([kind, [503, 503, 503, 204, 404, 201, 200]]);
    await service.logged(
      (l) => l.event === "storage.dropped" && l["file"] === `SessionObject/${file}`,
    );
  }
  const { id } = JSON.parse(damaged.get("sound")!) as { id: string };
  expect((await send("GET", id, headers["owner"]!)).status).toBe(200);
  expect(JSON.stringify(service.lines)).not.toContain("private");
});

it("names the file of a directory shard that is damaged, and serves what the others hold", async () => {
  const service = await Service.start({ DIRECTORY_SHARDS: "2" });
  for (let n = 0; n < 8; n++) await service.make();
  await service.kill();
  const folder = join(service.stateDir, "objects", "DirectoryObject");
  const [file = ""] = readdirSync(folder).filter((name) => /^[0-9a-f]{64}\.sqlite$/.test(name));
  dropLog(join(folder, file));
  writeFileSync(join(folder, file), "x".repeat(8192));
  await service.restart();
  const { status, json } = await service.send<object>("GET", "/v1/sessions/count");
  expect([status, json]).toEqual([200, { count: expect.any(Number), partial: true }]);
  const named = `DirectoryObject/${file}`;
  await service.logged((line) => line.event === "storage.failed" && line["file"] === named);
  expect((await service.make()).id).toBeDefined();
});
