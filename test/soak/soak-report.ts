/** The report of a soak: a table of all operations and their outcomes, and the course over time. */
import {
  keep,
  printReport,
  quoteResults,
  type Moment,
  type Report,
  type Row,
} from "../../bench/report.ts";
import type { Loss } from "./audit/loss.ts";
import type { Outcome } from "./history.ts";
import { DEFAULTS, isKept, type SoakOptions } from "./options.ts";
import type { SoakResult } from "./soak.ts";
import type { StruckFault } from "./timeline.ts";

/** The most stretches of time that are kept. */
const MOST_STRETCHES = 300;

/** Prints the report. Keeps it if the soak was long enough, with its course over time. */
export async function reportSoak(options: SoakOptions, result: SoakResult): Promise<void> {
  const report: Report = {
    suite: "soak",
    title: `Soak: ${options.seconds} s of load and faults`,
    command: commandOf(options),
    rows: rowsOf(result),
    notes: notesOf(options, result),
    more: [...stretchesOf(options, result), ...result.journal.timeline.faults.map(rounded)],
  };
  printReport(report);
  if (!isKept(options)) return;
  await keep(report);
  await quoteResults();
}

function commandOf(options: SoakOptions): string {
  const given = (Object.keys(DEFAULTS) as (keyof SoakOptions)[]).flatMap((key) => {
    const value = options[key];
    if (JSON.stringify(value) === JSON.stringify(DEFAULTS[key])) return [];
    const name = key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    if (value === true) return [`--${name}`];
    if (typeof value !== "object") return [`--${name} ${value}`];
    return [
      `--${name} ${Object.entries(value)
        .map((pair) => pair.join("="))
        .join(",")}`,
    ];
  });
  return given.length === 0 ? "npm run soak" : `npm run soak -- ${given.join(" ")}`;
}

function rowsOf({ history, losses }: SoakResult): Row[] {
  const [sessions, redis] = history.keepings;
  const row = (what: string, outcomes: readonly Outcome[], kinds: RegExp): Row => {
    const count = (outcome: Outcome) => outcomes.filter((one) => one === outcome).length;
    return {
      what,
      acknowledged: count("done"),
      refused: count("refused") + count("missing"),
      "answer lost": count("unknown"),
      "promises broken": losses.filter(({ kind }) => kinds.test(kind)).length,
    };
  };
  const outcomesOf = (list: readonly { readonly outcome: Outcome }[] = []) =>
    list.map(({ outcome }) => outcome);
  const inPlace = (place: string) => (loss: Loss) => loss.where.startsWith(place);
  const received = history.followings.flatMap(({ seen }) => seen);
  const visited = history.answers.flatMap(({ streams }) => streams.flatMap(({ seen }) => seen));
  const pages = history.answers.flatMap((answer) => answer.pages);
  const events = /^(event|id|publish|gap|stream)/;
  return [
    row("publishes", outcomesOf(history.publishes), events),
    {
      what: "events received",
      acknowledged: received.filter(({ kind }) => kind === "event").length,
      "gaps announced": received.filter(({ kind }) => kind === "gap").length,
    },
    {
      ...row("calls on sessions", outcomesOf(sessions?.changes), /^$/),
      "promises broken": losses.filter(inPlace("session")).length,
    },
    {
      ...row("calls on Redis", outcomesOf(redis?.changes), /^$/),
      "promises broken": losses.filter(inPlace("redis")).length,
    },
    {
      what: "slow MCP calls",
      acknowledged: history.calls.filter(({ end }) => end === "result").length,
      "answer lost": history.calls.filter(({ end }) => end === "unanswered").length,
      "told interrupted": history.calls.filter(({ end }) => end === "interrupted").length,
      "promises broken": losses.filter(inPlace("call")).length,
    },
    {
      what: "answers, ended",
      acknowledged: history.answers.filter(({ endIds }) => endIds.length > 0).length,
      "answer lost": history.answers.filter(({ endIds }) => endIds.length === 0).length,
      "gaps announced":
        visited.filter(({ kind }) => kind === "gap").length + pages.filter(({ gap }) => gap).length,
      "promises broken": losses.filter(({ kind }) => kind.startsWith("end")).length,
    },
    { what: "all", "promises broken": losses.length },
  ];
}

function notesOf(
  options: SoakOptions,
  { journal, losses, disagreements, evidence }: SoakResult,
): string[] {
  const { timeline } = journal;
  const whole = timeline.stretch(0, Math.floor(options.seconds));
  const struck = Object.entries(Object.groupBy(timeline.faults, ({ kind }) => kind));
  const faults = struck.map(([kind, all]) => `${kind} ${all.length}`).join(", ");
  return [
    `Faults: ${faults}; seed ${options.seed}. Process and Redis were killed once more before the audit.`,
    `Published ${whole.publishedPerSecond.toFixed(0)} events a second, delivered ${whole.deliveredPerSecond.toFixed(0)}; publish to receipt p50 ${whole.p50?.toFixed(1)} ms, p99 ${whole.p99?.toFixed(0)} ms, the faults' own times included.`,
    `From the last start on, the list and the sessions disagreed about ${disagreements.count} of them, for ${disagreements.longestSeconds.toFixed(1)} s at most.`,
    ...(disagreements.late === 0
      ? []
      : [`${evidence} has what was stored of those that were late.`]),
    losses.length === 0
      ? "Nothing was lost."
      : `LOST: ${losses.map(({ kind, where }) => `${kind} (${where})`).join("; ")}`,
  ];
}

function stretchesOf({ seconds }: SoakOptions, { journal }: SoakResult): Moment[] {
  const length = Math.max(1, Math.ceil(seconds / MOST_STRETCHES));
  const count = Math.floor(seconds / length);
  return Array.from({ length: count }, (_, n) =>
    journal.timeline.stretch(n * length, (n + 1) * length),
  );
}

function rounded(fault: StruckFault): StruckFault {
  return { ...fault, at: Number(fault.at.toFixed(2)), until: Number(fault.until.toFixed(2)) };
}
