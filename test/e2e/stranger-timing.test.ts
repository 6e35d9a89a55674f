/**
 * A stranger waits for its 404 as long for another's session of any size as for an id that was
 * never made. The requests are interleaved, so that other work of the machine slows both alike. The
 * test compares lower quartiles, since noise only adds, and counts who of a pair waits longer. It holds on a busy machine too: there
 * the difference, a file that must be made first, is largest.
 */
import { Agent, request } from "node:http";
import { expect, it } from "vitest";
import { apiTokens } from "../support/api-tokens.ts";
import { Service } from "../support/service.ts";

const { variable, headers } = await apiTokens({
  alice: ["alice", ["sessions:read", "sessions:write", "events:publish"]],
  mallory: ["mallory", ["sessions:read"]],
});
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** Milliseconds until the whole answer is there. */
function timed(url: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const sent = request(url, { agent, headers: headers["mallory"]! }, (answer) => {
      if (answer.statusCode !== 404) reject(new Error(`answered ${answer.statusCode}`));
      answer.resume().on("end", () => resolve(performance.now() - began));
    });
    sent.on("error", reject).end();
  });
}

function quantile(sample: readonly number[], share: number): number {
  return sample.toSorted((a, b) => a - b)[Math.floor(sample.length * share)]!;
}

/** Times pairs in turn, and in turn which of a pair is first. */
async function compare(service: Service, foreign: readonly string[], unknown: readonly string[]) {
  const times: { foreign: number[]; unknown: number[] } = { foreign: [], unknown: [] };
  const read = (id: string) => timed(`${service.url}/v1/sessions/${id}`);
  for (let n = 0; n < foreign.length; n++) {
    const order =
      n % 2 === 0 ? (["foreign", "unknown"] as const) : (["unknown", "foreign"] as const);
    for (const which of order) times[which].push(await read({ foreign, unknown }[which][n]!));
  }
  const slower = times.foreign.filter((time, n) => time > times.unknown[n]!).length;
  return {
    foreign: quantile(times.foreign, 0.25),
    unknown: quantile(times.unknown, 0.25),
    /** The share of the pairs in which the foreign session took longer. */
    slower: slower / foreign.length,
    quickest: Math.min(...times.foreign, ...times.unknown),
  };
}

it(
  "is the same for another's session and for an unknown id, warm and evicted",
  { timeout: 120_000 },
  async () => {
    const service = await Service.start({ AUTH: "token", API_TOKENS: variable });
    const data = "x".repeat(300_000);
    const foreign: string[] = [];
    for (let n = 0; n < 60; n++) {
      const id = crypto.randomUUID();
      const made = await service.fetch(`/v1/sessions/${id}`, {
        method: "PUT",
        body: JSON.stringify({ data }),
        headers: { ...headers["alice"], "content-type": "application/json" },
      });
      expect(made.status).toBe(201);
      foreign.push(id);
    }
    const unknown = foreign.map(() => crypto.randomUUID());
    const one = <T>(ids: readonly T[], times: number) =>
      Array.from({ length: times }, () => ids[0]!);

    // Every object is loaded before it is timed, so both are warm.
    await compare(service, one(foreign, 20), one(unknown, 20));
    const warm = await compare(service, one(foreign, 100), one(unknown, 100));
    await service.kill();
    await service.restart();
    await compare(service, one([crypto.randomUUID()], 20), one([crypto.randomUUID()], 20));
    const evicted = await compare(service, foreign, unknown);

    console.log("stranger timing, ms", JSON.stringify({ warm, evicted }));
    for (const { foreign, unknown, slower, quickest } of [warm, evicted]) {
      // The service counts in whole milliseconds.
      expect(quickest).toBeGreaterThan(9);
      // A leak shows in the size of the difference and in nearly every pair. Noise of a busy machine
      // may shift a quartile, but it falls on either one of a pair.
      const differs = Math.abs(foreign - unknown) > 0.25 * Math.max(foreign, unknown);
      expect(differs && Math.abs(slower - 0.5) > 0.3, JSON.stringify({ warm, evicted })).toBe(
        false,
      );
    }
  },
);
