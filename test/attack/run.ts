/**
 * `npm run attack` attacks `npm run serve` on this machine in every known way to exhaust it, while
 * one client uses it. A line a kind says what came of it. It takes less than five minutes. The
 * status is 1 if an answer was a 5xx but a 503 with `Retry-After`, if one did not come, or if
 * anything acknowledged was lost. The result of the whole is kept, and quoted in SECURITY.md.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { runCommand } from "../../scripts/command-line.ts";
import { printReport, type Row } from "../../bench/report.ts";
import { FuzzClient } from "../support/fuzz/client.ts";
import { SmallDisk } from "../support/small-disk.ts";
import { fuzzAll } from "./fuzz.ts";
import type { Kind } from "./kind.ts";
import { connectionKinds } from "./kinds/connections.ts";
import { machineKinds } from "./kinds/machine.ts";
import { requestKinds } from "./kinds/requests.ts";
import { readOptions, usage } from "./options.ts";
import { keepAndQuote } from "./results.ts";
import { Serving } from "./serving.ts";
import { Tally } from "./tally.ts";
import { Victim, type Losses } from "./victim.ts";

/** Milliseconds that the service has, after an attack, until it answers again, and between two looks. */
const RECOVERY_MS = 30_000;
const LOOK_MS = 200;

const folder = mkdtempSync(join(tmpdir(), "holdfast-attack-"));
process.once("exit", () => rmSync(folder, { recursive: true, force: true }));

interface Done {
  readonly row: Row;
  /** Broken promises, each in a line. */
  readonly wrong: readonly string[];
}

/** Undefined if the kind needs a disk that this system does not allow: `notRun` then says so. */
async function attackWith(kind: Kind, notRun: string[]): Promise<Done | undefined> {
  const place = mkdtempSync(join(folder, `${kind.name}-`));
  let disk: SmallDisk | undefined;
  try {
    if (kind.disk !== undefined) disk = await SmallDisk.mount(place, kind.disk);
  } catch (failure) {
    notRun.push(`${kind.title}: not run, ${(failure as Error).message}`);
    return undefined;
  }
  const env = { LOG_LEVEL: "error", KEEPALIVE_SECONDS: "1", ...kind.env };
  const serving = await Serving.start({
    stateDir: join(place, "state"),
    openFiles: kind.openFiles,
    env,
    ...(disk && { enter: disk.enter }),
  });
  const client = new FuzzClient(serving.port);
  try {
    const victim = await Victim.start(serving.url);
    const tally = new Tally();
    const found = await kind.attack({ serving, client, tally });
    const recovered = await recoveryOf(serving);
    const losses = await victim.stop();
    return doneOf(kind, { serving, tally, victim, losses, found, recovered });
  } finally {
    client.close();
    await serving.stop();
    disk?.unmount();
  }
}

/** Milliseconds until the service answers again; undefined: it did not in time. */
async function recoveryOf(serving: Serving): Promise<number | undefined> {
  const began = performance.now();
  while (performance.now() - began < RECOVERY_MS) {
    const signal = AbortSignal.timeout(RECOVERY_MS);
    const made = await serving.fetch("/v1/sessions", { method: "POST", signal }).catch(() => null);
    await made?.body?.cancel();
    if (made?.status === 201) return Math.round(performance.now() - began);
    await sleep(LOOK_MS);
  }
  return undefined;
}

interface Outcome {
  readonly serving: Serving;
  readonly tally: Tally;
  readonly victim: Victim;
  readonly losses: Losses;
  readonly found: readonly string[];
  readonly recovered: number | undefined;
}

function doneOf(kind: Kind, outcome: Outcome): Done {
  const { serving, tally, victim, losses, found, recovered } = outcome;
  const hangs = tally.hangs + victim.hangs;
  const { ends } = serving;
  const wrong = [
    ...(tally.failed > 0 ? [`answers: ${JSON.stringify(tally.statuses)}`] : []),
    ...(hangs > 0 ? [`${hangs} calls hung`] : []),
    ...(serving.isUp ? [] : ["npm run serve ended"]),
    ...(kind.mayEnd ? [] : ends.map((said) => `workerd ended: ${said}`)),
    ...(recovered === undefined ? ["the service did not answer again"] : []),
    ...(victim.published === 0 ? ["its user could not publish"] : []),
    ...(serving.peakMb > kind.mostMb ? [`it took ${serving.peakMb} MiB`] : []),
    ...losses.wrong,
    ...found,
  ];
  return {
    wrong,
    row: {
      attack: kind.title,
      attempts: tally.attempts,
      "503s": tally.refused,
      "other 5xx": tally.failed,
      hangs,
      losses: losses.count,
      "starts again": ends.length,
      "slowest publish ms": Math.round(victim.longestMs),
      "peak MiB": serving.peakMb,
    },
  };
}

function say(what: string, { row, wrong }: Done): void {
  const { attack: _, ...figures } = row;
  console.error([`${wrong.length === 0 ? "ok   " : "WRONG"} ${what}`, ...wrong].join("\n      "));
  console.error(`      ${JSON.stringify(figures)}`);
}

async function main(args: readonly string[]): Promise<void> {
  const machine = await machineKinds();
  const kinds: readonly Kind[] = [...connectionKinds, ...requestKinds, ...machine.kinds];
  const names = kinds.map(({ name }) => name);
  const options = readOptions(args, names);
  const done: Done[] = [];
  const notRun: string[] = [];
  for (const kind of kinds.filter(({ name }) => options.kinds.includes(name))) {
    const one = await attackWith(kind, notRun);
    if (!one) continue;
    say(kind.name, one);
    done.push(one);
  }
  machine.close();
  for (const note of notRun) console.error(note);
  if (options.requests > 0) {
    const { report, wrong } = await fuzzAll(folder, options);
    printReport(report);
    for (const one of wrong) console.error(`fuzz: ${one}`);
    if (wrong.length === 0) await keepAndQuote(report);
    else process.exitCode = 1;
    return;
  }
  const report = {
    suite: "attack",
    title: "Attacks on one process",
    command: "npm run attack",
    rows: done.map(({ row }) => row),
    notes: [
      "An attempt is a request, or a connection that is held. 503 comes with `Retry-After`. A hang is an answer that did not come in 15 s, to the attacker or to the client that publishes every 100 ms and follows its own events meanwhile. A loss is an event of that client which was acknowledged and is missing, doubled or out of order, in its stream or in its log.",
      ...notRun,
    ],
  };
  printReport(report);
  const wrong = done.flatMap((one) => one.wrong);
  if (options.whole && wrong.length === 0) await keepAndQuote(report);
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

const NAMES = [...connectionKinds, ...requestKinds].map(({ name }) => name);
await runCommand("attack", usage([...NAMES, "hung-upstream", "full-disk"]), main);
