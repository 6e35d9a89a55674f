/** What a suite found: kept as JSON lines, and printed from them as tables. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { PROJECT } from "../scripts/bundle.ts";

/** A comparison: one figure of Holdfast's beside another's, and whether their ratio meets the target. */
export interface Claim {
  /** The job, and what was measured in which unit. */
  readonly what: string;
  readonly holdfast: number;
  readonly other: string;
  readonly its: number;
  /** Holdfast's ÷ its, each the median of rounds. */
  readonly ratio: number;
  /** The least and the greatest of the rounds' own ratios; absent where there was one round. */
  readonly least?: number;
  readonly greatest?: number;
  readonly target?: string;
  readonly met?: boolean;
}

/** Figures of one contender; null is a number that could not be read. */
export type Row = Readonly<Record<string, string | number | boolean | null>>;

export interface Report {
  readonly suite: string;
  readonly title: string;
  readonly notes: readonly string[];
  readonly rows: readonly Row[];
  readonly claims?: readonly Claim[];
  /** A peer that is not installed, and how it is. The results that are kept stand then. */
  readonly missing?: string;
  /** The command that reproduces it, where that is not `npm run bench -- SUITE`. */
  readonly command?: string;
  /** What happened when, after the rows: kept, not printed. */
  readonly more?: readonly Moment[];
}

/** A figure of one moment of a run, `at` seconds from its start. */
export type Moment = object & { readonly at: number };

/** A report with the day and the machine of its run. */
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

/** Why a report is printed only; undefined where it is kept. `wanted`: whether to keep it was asked for. */
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

/** Keeps a report as bench/results/SUITE.jsonl: a line of heading, then the claims, the rows and the rest. */
export async function keep(report: Report, folder = RESULTS): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `${report.suite}.jsonl`), lines(resultOf(report)));
}

function lines({ suite, date, title, command, machine, notes, claims, rows, more }: Result) {
  const all = [{ title, command, machine, notes }, ...claims, ...rows, ...more];
  return all.map((line) => `${JSON.stringify({ suite, date, ...line })}\n`).join("");
}

/** All that is kept, in the order of the suites' names. */
export async function readResults(folder = RESULTS): Promise<Result[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".jsonl"));
  return Promise.all(
    names.toSorted().map(async (name) => parse(await readFile(join(folder, name), "utf8"))),
  );
}

function parse(text: string): Result {
  const [heading, ...lines] = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as object);
  const figures = lines.map((line) => {
    const { suite: _suite, date: _date, ...figure } = line as Row;
    return figure;
  });
  const isMoment = (line: object): line is Moment => "at" in line;
  return {
    ...(heading as Omit<Result, "claims" | "rows" | "more">),
    claims: figures.filter((line) => "ratio" in line) as unknown as Claim[],
    rows: figures.filter((line) => !("ratio" in line) && !isMoment(line)),
    more: (figures as readonly object[]).filter(isMoment),
  };
}

/** The tables of a result as Markdown, with its notes. */
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

/** Ratios are Holdfast's figure over the other's; in brackets the least and the greatest of a round. */
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

/** A number rounded for a table. */
function figure(value: number): string {
  if (Number.isInteger(value)) return value.toLocaleString("en");
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : value.toPrecision(3);
}

const PAGE = join(PROJECT, "docs", "performance.md");
const START = "<!-- results: npm run bench -- --quote writes what follows -->";
const END = "<!-- end of results -->";
/** The suites in the order of the page. */
const ORDER = "floor mcp-agent gateways nchan express-session growth directory cost soak".split(
  " ",
);

/** The section between the markers: of each result its claims, or its rows where it claims nothing. */
export function section(results: readonly Result[]): string {
  return ORDER.flatMap((name) => results.filter(({ suite }) => suite === name))
    .flatMap((result) => tables(result.claims.length > 0 ? { ...result, rows: [] } : result, "###"))
    .join("\n");
}

/** The text with the section between its markers replaced. Throws where it has no markers. */
export function withSection(page: string, results: readonly Result[]): string {
  const [start, end] = [page.indexOf(START), page.indexOf(END)];
  if (start < 0 || end < start) throw new Error(`docs/performance.md has no ${START} … ${END}`);
  return `${page.slice(0, start + START.length)}\n\n${section(results)}${page.slice(end)}`;
}

export async function quoteResults(): Promise<void> {
  await writeFile(PAGE, withSection(await readFile(PAGE, "utf8"), await readResults()));
}
