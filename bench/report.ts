/** A suite's result: kept once as JSON lines, and printed from them as tables. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";

/** One figure of Holdfast's beside another's, and whether their ratio meets the target. */
export interface Claim {
  /** The job, the figure and its unit. */
  readonly what: string;
  readonly holdfast: number;
  readonly other: string;
  readonly its: number;
  /** `holdfast` ÷ `its`, each the median of rounds. */
  readonly ratio: number;
  /** The least and the greatest ratio of one round; absent if there is one round only. */
  readonly least?: number;
  readonly greatest?: number;
  readonly target?: string;
  readonly met?: boolean;
}

/** Figures of one contender. null is a number that could not be read. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

export interface Report {
  readonly suite: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
  readonly claims?: readonly Claim[];
  /** Names a peer that is not installed. The kept result then stays. */
  readonly missing?: string;
  /** The command that repeats it; `npm run bench -- SUITE` unless given. */
  readonly command?: string;
  /** Figures over time: kept, not printed. */
  readonly more?: readonly Moment[];
}

/** Figures of one moment, `at` seconds from the start. */
export type Moment = object & { readonly at: number };

/** A report with its day and its machine. */
export interface Result extends Required<Omit<Report, "missing">> {
  readonly date: string;
  readonly machine: string;
}

export function resultOf(report: Report): Result {
  const cores = `${cpus().length} cores (${cpus()[0]?.model.trim() ?? "unknown"})`;
  const { missing: _, ...found } = report;
  return {
    claims: [],
    more: [],
    command: `npm run bench -- ${report.suite}`,
    ...found,
    date: new Date().toISOString().slice(0, 10),
    machine: `${cores}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}`,
  };
}

/** The reason not to keep a report; undefined if it is kept. */
export function whyNotKept({ missing }: Report, wanted: boolean): string | undefined {
  if (missing !== undefined) return missing;
  return wanted ? undefined : "its effort is not the default one (--keep keeps it)";
}

/** Prints JSON lines for machines, and tables for people. */
export function printReport(report: Report): void {
  const result = resultOf(report);
  console.log(`${lines({ ...result, more: [] })}\n${tables(result).join("\n")}`);
}

export const RESULTS = join(PROJECT, "bench", "results");

/** Writes bench/results/SUITE.jsonl: the heading, then claims, rows and moments, one a line. */
export async function keep(report: Report, folder = RESULTS): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${report.suite}.jsonl`), lines(resultOf(report)));
}

function lines({ suite, date, title, command, machine, notes, claims, rows, more }: Result) {
  const all = [{ title, command, machine, notes }, ...claims, ...rows, ...more];
  return all.map((line) => `${JSON.stringify({ suite, date, ...line })}\n`).join("");
}

/** All kept results, in the order of the suites' names. */
export async function readResults(folder = RESULTS): Promise<Result[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
  return Promise.all(
    names.toSorted().map(async (name) => parse(await readFile(join(folder, name), "utf8"))),
  );
}

function parse(text: string): Result {
  const [heading, ...lines] = text.trimEnd().split("\n");
  const figures = lines.map((line) => {
    const { suite: _suite, date: _date, ...figure } = JSON.parse(line) as Row;
    return figure;
  });
  const kindOf = (figure: Row) => ("ratio" in figure ? "claim" : "at" in figure ? "moment" : "row");
  const { claim = [], row = [], moment = [] } = Object.groupBy(figures, kindOf);
  return { ...JSON.parse(heading ?? ""), claims: claim, rows: row, more: moment } as Result;
}

/** A result as Markdown: its tables and its notes. */
export function tables(result: Result, heading = "##"): string[] {
  const { title, date, command, machine, claims, rows, notes } = result;
  return [
    `${heading} ${title}`,
    "",
    `${date}, \`${command}\`, ${machine}.`,
    "",
    ...(claims.length > 0 ? [...claimTable(claims), ""] : []),
    ...(rows.length > 0 ? [...table(rows), ""] : []),
    ...notes.map((note) => `- ${note}`),
    "",
  ];
}

export function table(rows: readonly Row[]): string[] {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const cell = (value: Row[string] | undefined) =>
    typeof value === "number" ? figure(value) : String(value ?? "");
  return [
    `| ${columns.join(" | ")} |`,
    `|${columns.map(() => "---").join("|")}|`,
    ...rows.map((row) => `| ${columns.map((column) => cell(row[column])).join(" | ")} |`),
  ];
}

export function claimTable(claims: readonly Claim[]): string[] {
  return table(
    claims.map(({ what, holdfast, other, its, ratio, least, greatest, target, met }) => ({
      "": what,
      Holdfast: holdfast,
      "the other": `${other}: ${figure(its)}`,
      ratio: range(ratio, least, greatest),
      target: target === undefined ? "" : `${target}, ${met ? "met" : "missed"}`,
    })),
  );
}

function range(ratio: number, least: number | undefined, greatest: number | undefined): string {
  if (least === undefined || greatest === undefined) return figure(ratio);
  return `${figure(ratio)} (${figure(least)} to ${figure(greatest)})`;
}

/** Rounds a number for a table. A ratio to nothing is no number, and null once it is kept. */
function figure(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return "–";
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

/** The figures that README quotes: a suite's name, and the text of its claim. */
const QUOTED = [
  ["floor", "read, a second"],
  ["floor", "create, one at a time, p50, ms"],
  ["floor", "publish to one subscriber, a second"],
  ["mcp-agent", "tools/call, a second"],
  ["nchan", "publish to 100 subscribers, events a second"],
  ["cost", "an idle stream for a month, $ per million"],
] as const;

/** The quoted figures, each with its day. Throws if one is not in the results. */
export function figures(results: readonly Result[]): string {
  const rows = QUOTED.map(([name, what]) => {
    const result = results.find(({ suite }) => suite === name);
    const found = result?.claims.find((one) => one.what === what);
    if (!result || !found) throw new Error(`${name} has no figure "${what}"`);
    const { holdfast, other, its, ratio } = found;
    return {
      "": what,
      Holdfast: holdfast,
      "beside it": `${other}: ${figure(its)}`,
      ratio,
      on: result.date,
    };
  });
  return `${table(rows).join("\n")}\n`;
}

const README = join(PROJECT, "README.md");
const MARKS: [string, string] = [
  "<!-- figures: npm run bench -- --quote writes what follows -->",
  "<!-- end of figures -->",
];
const PAGE = join(PROJECT, "docs", "performance.md");
const START = "<!-- results: npm run bench -- --quote writes what follows -->";
const END = "<!-- end of results -->";
const ORDER =
  "floor mcp-agent gateways bridge nchan durable-streams express-session growth directory cost soak".split(
    " ",
  );

/** The section between the markers: each result's claims, or its rows if it has no claims. */
export function section(results: readonly Result[]): string {
  return ORDER.flatMap((name) => results.filter(({ suite }) => suite === name))
    .flatMap((result) => tables(result.claims.length > 0 ? { ...result, rows: [] } : result, "###"))
    .join("\n");
}

/** Replaces the section between the markers. Throws if the page has none. */
export function withSection(page: string, results: readonly Result[]): string {
  return withBetween(page, [START, END], section(results));
}

/** Replaces what stands between two marks of a page. Throws if the page has not both. */
export function withBetween(page: string, [first, last]: [string, string], text: string): string {
  const [start, end] = [page.indexOf(first), page.indexOf(last)];
  if (start < 0 || end < start) throw new Error(`the page has no ${first} … ${last}`);
  return `${page.slice(0, start + first.length)}\n\n${text}${page.slice(end)}`;
}

/** Writes the kept results into docs/performance.md, and the quoted figures into README. */
export async function quoteResults(): Promise<void> {
  const results = await readResults();
  await writeFile(PAGE, withSection(await readFile(PAGE, "utf8"), results));
  await writeFile(README, withBetween(await readFile(README, "utf8"), MARKS, figures(results)));
}
