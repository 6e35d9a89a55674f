import { describe, expect, it } from "vitest";
import { Journal } from "../../soak/journal.ts";
import type { Answer, Request } from "../../soak/traffic/api.ts";
import { placeOf, runPublishers } from "../../soak/traffic/publishers.ts";
import { Random } from "../../support/fuzz/random.ts";

describe("publishers", () => {
  it.each([
    [10, 6],
    [10, 25],
    [3, 7],
    [1, 4],
    [5, 5],
  ])("%d of them reach each of %d sessions, in turns", (workers, sessions) => {
    const turns = Array.from({ length: sessions }, (_, turn) => turn);
    const reached = Array.from({ length: workers }, (_, worker) =>
      turns.map((turn) => placeOf(worker, turn, workers, sessions)),
    );
    expect(new Set(reached.flat()).size).toBe(sessions);
    expect(Math.max(...reached.flat())).toBe(sessions - 1);
    // A worker returns to a session only after all its other sessions.
    for (const own of reached) {
      const different = new Set(own).size;
      expect(new Set(own.slice(0, different)).size).toBe(different);
    }
  });

  const publishedTo = async (rate: number) => {
    const paths: string[] = [];
    const api = {
      async send<T>(_: string, { path }: Request): Promise<Answer<T>> {
        paths.push(path);
        return { outcome: "unknown" };
      },
    };
    const sessions = ["a", "b", "c", "d"];
    const [journal, random] = [new Journal(), new Random(1)];
    const publishing = { journal, api, random, origins: ["http://here"], sessions, rate };
    await runPublishers(publishing, AbortSignal.abort());
    return paths.map((path) => path.split("/")[3]);
  };

  it("publish to each session once, however little time and rate leave them", async () => {
    expect(await publishedTo(0.1)).toEqual(["a", "b", "c", "d"]);
  });

  it("publish nothing at a rate of 0", async () => {
    expect(await publishedTo(0)).toEqual([]);
  });
});
