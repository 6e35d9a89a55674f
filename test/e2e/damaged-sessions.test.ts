/** A session whose file is damaged: it answers 503, the log names the file, and an admin can delete it. */
import {
  closeSync,
  openSync,
  readdirSync,
  rmSync,
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
  const damaged = new Map<string, string>();
  for (const kind of [...Object.keys(KINDS), "sound"]) {
    const id = crypto.randomUUID();
    const before = sessionFiles(service.stateDir);
    expect((await send("PUT", id, headers["owner"]!)).status).toBe(201);
    const [file = ""] = sessionFiles(service.stateDir).filter((name) => !before.includes(name));
    damaged.set(kind, JSON.stringify({ id, file }));
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
    await status("DELETE", "admin");
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
