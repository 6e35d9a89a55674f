/** The manager over the objects and the service's own directory. Alone in its file, so that the directory is its own. */
import { env } from "cloudflare:workers";
import { beforeAll, expect, it, onTestFinished } from "vitest";
import { sessionsIn, type ObjectNamespace } from "../../../src/entries/durable-object.ts";
import { SessionNotFoundError } from "../../../src/core/errors.ts";
import { newSessionId } from "../../../src/library/model/session.ts";
import { DurableObjectStorage } from "../../../src/library/storage/durable-object.ts";
import { SessionManager } from "../../../src/library/session-manager.ts";
import { allTold } from "../../support/directory.ts";

// wrangler.toml binds both.
const { SESSIONS, DIRECTORY } = env as unknown as Record<"SESSIONS" | "DIRECTORY", ObjectNamespace>;

const sessions = sessionsIn(SESSIONS, DIRECTORY);

// The first use of an object loads the whole Worker, which on a busy machine takes longer than a storage waits.
beforeAll(async () => {
  await expect(sessions.read(newSessionId(), false)).rejects.toThrow(SessionNotFoundError);
});

it("counts and iterates exactly the sessions that there are", async () => {
  const storage = new DurableObjectStorage({ sessions, ttlMs: 60_000 });
  const manager = new SessionManager({ storage, ttlMs: 60_000 });
  onTestFinished(() => manager.stop());
  const ranged = async () => {
    const ids: string[] = [];
    for await (const { id } of manager.range({ pageSize: 7 })) ids.push(id);
    return ids.toSorted();
  };
  expect([await manager.count(), await ranged()]).toEqual([0, []]);

  const ids = Array.from({ length: 23 }, newSessionId);
  for (const id of ids) await manager.addWithId(id);
  await allTold(ids);
  expect([await manager.count(), await ranged()]).toEqual([23, ids.toSorted()]);

  const gone = ids.splice(0, 9);
  for (const id of gone) await manager.delete(id);
  // The range leaves an ended session out, even before the directory hears of its end.
  expect(await ranged()).toEqual(ids.toSorted());
  await allTold(gone);
  expect([await manager.count(), await ranged()]).toEqual([14, ids.toSorted()]);
});
