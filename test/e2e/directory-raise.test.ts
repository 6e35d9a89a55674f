/**
 * A subject is revoked while the service dies and DIRECTORY_SHARDS is raised, over real HTTP. The
 * one old shard ends a hundred sessions before it answers; alarms, its own or those of the new
 * shards, end the others.
 */
import { expect, it } from "vitest";
import type { SessionList } from "../../src/core/api.ts";
import { Service } from "../support/service.ts";

const THEIRS = 450;
const OTHERS = 150;
const CALLERS = 16;
/** A kill, a restart and a count that take longer than this leave the service time to end them all. */
const HELD_UP_MS = 1000;

async function make(service: Service, count: number, subject: string): Promise<string[]> {
  const ids: string[] = [];
  let left = count;
  const caller = async () => {
    while (left-- > 0) ids.push((await service.make({ subject })).id);
  };
  await Promise.all(Array.from({ length: CALLERS }, caller));
  return ids;
}

it(
  "ends all of a subject over a kill and a raise, and a walk meanwhile sees all others once",
  { timeout: 120_000 },
  async () => {
    const service = await Service.start({ LOG_LEVEL: "warn", DIRECTORY_SHARDS: "1" });
    const counted = async (subject: string) => {
      const path = `/v1/sessions/count?subject=${subject}`;
      return (await service.send<{ count: number }>("GET", path)).json.count;
    };
    const walked = async (query = "") => {
      const ids: string[] = [];
      let cursor = "";
      for (;;) {
        const path = `/v1/sessions?limit=20${query}${cursor}`;
        const { json } = await service.send<SessionList>("GET", path);
        expect(json.partial).toBeUndefined();
        ids.push(...json.sessions.map(({ id }) => id));
        if (json.cursor === undefined) return ids;
        cursor = `&cursor=${json.cursor}`;
      }
    };
    const theirs = await make(service, THEIRS, "leaves");
    const others = await make(service, OTHERS, "stays");
    await expect.poll(() => counted("leaves")).toBe(THEIRS);
    await expect.poll(() => counted("stays")).toBe(OTHERS);

    const { status, json } = await service.send("DELETE", "/v1/sessions?subject=leaves");
    const answered = performance.now();
    expect([status, json]).toEqual([202, { deleted: THEIRS }]);
    await service.kill();
    service.configure({ DIRECTORY_SHARDS: "3" });
    await service.restart();
    const left = await counted("leaves");
    const counting = performance.now() - answered;
    // The first hundred were ended before the answer.
    expect(left).toBeLessThanOrEqual(THEIRS - 100);
    // More than none: it died in the middle, unless this test was held up and the service was not.
    expect(left > 0 || counting > HELD_UP_MS).toBe(true);
    console.log(`${left} of ${THEIRS} left ${Math.round(counting)} ms after the answer`);

    // The first page tells the shard of the others, and the move goes on under the walk.
    const seen = await walked();
    expect(new Set(seen).size).toBe(seen.length);
    expect(others.filter((id) => !seen.includes(id))).toEqual([]);

    await expect.poll(() => counted("leaves")).toBe(0);
    expect((await walked()).toSorted()).toEqual(others.toSorted());
    expect(await counted("stays")).toBe(OTHERS);
    const alive = await Promise.all(
      theirs.map(
        async (id) => (await service.send("GET", `/v1/sessions/${id}?touch=false`)).status === 200,
      ),
    );
    expect(alive.filter(Boolean)).toEqual([]);
  },
);
