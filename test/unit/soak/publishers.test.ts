import { describe, expect, it } from "vitest";
import type { Outcome } from "../../soak/history.ts";
import { Journal } from "../../soak/journal.ts";
import type { Answer, Request } from "../../soak/traffic/api.ts";
import { placeOf, publish, runPublishers } from "../../soak/traffic/publishers.ts";
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

  /** One publish, answered with these outcomes in turn. */
  const published = async (outcomes: readonly Outcome[], tries: number, again = false) => {
    const keys: (string | undefined)[] = [];
    const api = {
      async send<T>(_: string, { headers }: Request): Promise<Answer<T>> {
        keys.push(headers?.["idempotency-key"]);
        const outcome = outcomes[keys.length - 1] ?? "done";
        return { outcome, ...(outcome === "done" && { json: { id: `id ${keys.length}` } as T }) };
      },
    };
    const journal = new Journal();
    const one = { session: "a", publisher: "one", origin: "http://here", events: 1 };
    await publish({ journal, api }, { ...one, tries, again });
    return { keys, publish: journal.publishes[0]! };
  };

  it("repeat under one key what was not answered, and nothing without a key", async () => {
    const keyed = await published(["unknown", "unknown"], 5);
    expect(keyed.keys).toEqual(["key-0", "key-0", "key-0"]);
    expect(keyed.publish).toMatchObject({ outcome: "done", ids: ["id 3"], repeats: [] });
    const plain = await published(["unknown"], 1);
    expect([plain.keys, plain.publish.outcome]).toEqual([[undefined], "unknown"]);
  });

  it("note what a repeat of an acknowledged publish was answered", async () => {
    const { publish } = await published(["done", "done"], 5, true);
    expect(publish).toMatchObject({ ids: ["id 1"], repeats: [["id 2"]] });
  });

  it("do not know what became of one whose session was gone when they repeated it", async () => {
    expect((await published(["unknown", "missing"], 5)).publish.outcome).toBe("unknown");
    expect((await published(["missing"], 5)).publish.outcome).toBe("missing");
  });

  it("publish nothing at a rate of 0", async () => {
    expect(await publishedTo(0)).toEqual([]);
  });
});
