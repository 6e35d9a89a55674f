import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { placementOf } from "../../../src/directory/placement.ts";
import { Evidence } from "../../soak/evidence.ts";
import { Journal } from "../../soak/journal.ts";
import { SESSIONS } from "../../soak/traffic/sessions.ts";
import { listenOnLoopback } from "../../support/listen.ts";
import { atEnd } from "../../support/scope.ts";

const ID = "0b9f5ad4-7d4f-4c5e-9b64-1f5f0a0c9a55";

it("keeps a session's files, those of its shard, its history and the lines that name it", async () => {
  const stateDir = mkdtempSync(join(tmpdir(), "holdfast-evidence-"));
  atEnd(() => rmSync(stateDir, { recursive: true, force: true }));
  for (const [folder, files] of [
    ["SessionObject", ["aa.sqlite", "aa.sqlite-wal", "bb.sqlite", "metadata.sqlite"]],
    ["DirectoryObject", ["cc.sqlite", "dd.sqlite"]],
  ] as const) {
    mkdirSync(join(stateDir, "objects", folder), { recursive: true });
    for (const file of files) writeFileSync(join(stateDir, "objects", folder, file), file);
  }
  const shard = placementOf(ID, 8);
  const answers: Readonly<Record<string, unknown>> = {
    [`/stored?session=${ID}&shard=${shard}&names`]: { session: "aa", shard: "cc" },
    [`/stored?session=${ID}&shard=${shard}`]: { session: { alarm: 7 }, shard: { rows: [] } },
  };
  const server = createServer(({ url = "" }, response) => {
    response.statusCode = url in answers ? 200 : 404;
    response.end(JSON.stringify(answers[url] ?? "no such session"));
  });
  const port = await listenOnLoopback(server);
  atEnd(() => void server.close());

  const journal = new Journal();
  await journal.change(SESSIONS, { record: ID, kind: "create" }, async () => ({ outcome: "done" }));
  await journal.change(SESSIONS, { record: "b", kind: "create" }, async () => ({
    outcome: "done",
  }));
  const lines = ["about aa.sqlite", "about bb.sqlite", "about 0b9f5ad4…"];
  const at = { url: `http://127.0.0.1:${port}`, stateDir };
  const evidence = new Evidence({ journal, server: at, lines, shards: 8 }, stateDir);
  await evidence.keep(ID, "it is listed and is not there");

  const folder = join(evidence.folder, ID);
  const copies = readdirSync(folder).filter((name) => name.includes("Object-"));
  expect(copies.toSorted()).toEqual([
    "DirectoryObject-cc.sqlite",
    "SessionObject-aa.sqlite",
    "SessionObject-aa.sqlite-wal",
    "SessionObject-metadata.sqlite",
  ]);
  expect(JSON.parse(readFileSync(join(folder, "session.json"), "utf8"))).toMatchObject({
    said: "it is listed and is not there",
    stored: { session: { alarm: 7 }, shard: { rows: [] } },
    document: '404 "no such session"',
    changes: [{ record: ID, outcome: "done", at: expect.any(Number) }],
  });
  const naming = readFileSync(join(folder, "lines.jsonl"), "utf8");
  expect(naming).toBe("about aa.sqlite\nabout 0b9f5ad4…");
});
