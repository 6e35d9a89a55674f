/** The fuzzer of the tests, for longer, against `npm run serve`: no failure, no hang, no growth. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Report } from "../../bench/report.ts";
import { Fuzz } from "../support/fuzz/fuzz.ts";
import type { AttackOptions } from "./options.ts";
import { Serving } from "./serving.ts";

/** Requests under way at a time: most of them wait, since a "not found" takes its time. */
const WORKERS = 96;
const SAY_EVERY = 10_000;
/** Files that the process may have open. */
const OPEN_FILES = 4096;
/** Seconds that it may take at most. */
const MOST_SECONDS = 1800;
/** Milliseconds after which workerd has let go of objects that nobody uses, and for the sessions to end. */
const CALM_MS = 20_000;
/**
 * The run's memory is sampled, and the least of each fifth is compared: a collector lets memory
 * swing, but what leaks is never given back. The first fifth warms up.
 */
const FIFTHS = 5;
const SAMPLES = 200;
/** How many times the second fifth's least the last one's may be. */
const MOST_GROWTH = 1.25;
/** More files than at the start that may be open afterwards: a directory's shards, kept connections. */
const MOST_OPEN = 64;
/** Files of sessions that may be left, and the milliseconds after a start in which the others are removed. */
const MOST_STORED = 200;
const SWEPT_MS = 120_000;

/** How many files are left, once the start and the first sweep have removed those of ended sessions. */
async function sweptFiles(serving: Serving): Promise<number> {
  for (let waited = 0; waited < SWEPT_MS; waited += 1000) {
    if (serving.storedFiles <= MOST_STORED) break;
    await sleep(1000);
  }
  return serving.storedFiles;
}

/** Reports the run, and what should not have happened. */
export async function fuzzAll(
  folder: string,
  { requests, seed }: AttackOptions,
): Promise<{ report: Report; wrong: readonly string[] }> {
  const fuzz = await Fuzz.make();
  const stateDir = mkdtempSync(join(folder, "fuzz-"));
  const env = { ...fuzz.env, LOG_LEVEL: "error" };
  const serving = await Serving.start({ stateDir, openFiles: OPEN_FILES, env });
  try {
    const openBefore = serving.openFiles;
    const leastMb = Array.from({ length: FIFTHS }, () => Infinity);
    const fuzzed = await fuzz.run(serving, {
      requests,
      seconds: MOST_SECONDS,
      seed,
      workers: WORKERS,
      mayRefuse: true,
      onRequest: (sent) => {
        if (sent > 0 && sent % SAY_EVERY === 0) console.error(`fuzz: ${sent} requests sent`);
        if (sent % Math.ceil(requests / SAMPLES) !== 0) return;
        const fifth = Math.min(FIFTHS - 1, Math.floor((sent * FIFTHS) / requests));
        leastMb[fifth] = Math.min(leastMb[fifth] ?? Infinity, serving.memoryMb);
      },
    });
    const [, warmMb = 0] = leastMb;
    const endMb = leastMb.at(-1) ?? 0;
    await fuzz.clear(serving);
    await sleep(CALM_MS);
    const openAfter = serving.openFiles;
    const made = serving.storedFiles;
    const { ends } = serving;
    await serving.stop();
    await serving.start();
    const left = await sweptFiles(serving);
    const { sent, seconds, statuses, findings } = fuzzed;
    const count = (key: string) => statuses[key] ?? 0;
    const failed = Object.keys(statuses).filter((key) => /^5(?!0[13])/.test(key));
    const wrong = [
      ...findings,
      ...ends.map((said) => `workerd ended: ${said}`),
      ...(sent < requests ? [`${sent} requests were sent`] : []),
      ...(endMb > MOST_GROWTH * warmMb ? [`memory grew from ${warmMb} to ${endMb} MiB`] : []),
      ...(openAfter > openBefore + MOST_OPEN ? [`${openAfter} files stay open`] : []),
      ...(left > MOST_STORED ? [`${left} files stay on the disk`] : []),
    ];
    const report: Report = {
      suite: "fuzz",
      title: "Fuzz of every route and of MCP",
      command: `npm run attack -- --fuzz${seed === 1 ? "" : ` --seed ${seed}`}`,
      rows: [
        {
          requests: sent,
          "503s": count("503"),
          "other 5xx": failed.reduce((sum, key) => sum + count(key), 0),
          hangs: count("hang"),
          findings: findings.length,
          seconds: Math.round(seconds),
          "least MiB in each fifth": leastMb.join(", "),
          "open files before": openBefore,
          "open files after": openAfter,
          "databases made": made,
          "left when swept": left,
        },
      ],
      notes: [
        `Statuses: ${Object.entries(statuses)
          .map((pair) => pair.join(" × "))
          .join(", ")}. 501 is workerd's own, for methods that HTTP does not have.`,
      ],
    };
    return { report, wrong };
  } finally {
    await serving.stop();
  }
}
